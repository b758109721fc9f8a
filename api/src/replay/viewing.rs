//! One read of a recording: who reads, whether policies still allow it, whether the recording has expired, and the
//! audit row. Replay returns nothing of a recording in any other way.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use domain::access_key::AccessKeyStatus;
use domain::actions::{Action as _, ReplayRecording};
use domain::gate::{Denied, Granted, InstanceFacts, Resource, Told};
use domain::identity::AccessKeyId;
use domain::recording_life::Recording;
use domain::{TerminalSessionToken, Timestamp};
use openapi::error_codes::ErrorCode;

use super::session;
use super::tickets::Viewer;
use crate::Hansard;
use crate::diagnostics::Denial;
use crate::errors::ActionError;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{About, Arrival, Caller, Done};

/// A viewer's request, authenticated by a ticket or by a session.
pub(crate) struct Viewing {
    pub(crate) hansard: Data<Hansard>,
    viewer: Viewer,
    /// That of the call which opened the recording; the program is the one that looks.
    access_key: AccessKeyId,
    caller: Caller,
}

/// The recording, and the permission to read it.
pub(crate) struct Seen {
    pub(crate) granted: Granted<ReplayRecording>,
    pub(crate) recording: Recording,
}

impl Viewing {
    /// A request that is authenticated by its session cookie.
    pub(crate) fn by_session(
        request: &HttpRequest,
        hansard: &Data<Hansard>,
        token: &str,
    ) -> Result<Self, ActionError> {
        let read = |token| session::read(request, hansard, &token);
        let session = parse_token(token).and_then(read);
        let sender = UnauthenticatedCaller::of(request, hansard);
        let session = session.map_err(|error| sender.refuse(error))?;
        sender.mark_authenticated();
        Self::new(request, hansard, session.viewer)
    }

    /// A request of a viewer whose ticket or session was checked; each counts as one of the principal's calls.
    pub(crate) fn new(
        request: &HttpRequest,
        hansard: &Data<Hansard>,
        viewer: Viewer,
    ) -> Result<Self, ActionError> {
        let (principal, access_key) = (viewer.principal()?, viewer.access_key()?);
        let arrival = Arrival::of(request);
        let caller = Caller { arrival, principal, access_key: Some(access_key.clone()) };
        caller.admit(hansard)?;
        Ok(Self { hansard: hansard.clone(), viewer, access_key, caller })
    }

    /// The call's id, as its reply carries it.
    pub(crate) fn request_id(&self) -> String {
        self.caller.arrival.id()
    }

    /// The call's present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.caller.now()
    }

    /// The viewer, for a new session.
    pub(crate) fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// Looks: asks policy, finds the recording, checks that it has not expired, does the work, writes the audit
    /// row, and only then lets the reply go. A reply with a stream has sent nothing by then.
    pub(crate) async fn look(
        self,
        how: &'static str,
        work: impl AsyncFnOnce(&Self, &Seen) -> Result<HttpResponse, ActionError>,
    ) -> Result<HttpResponse, ActionError> {
        let steps = async |about: &mut About| {
            let resource = self.resource().await?;
            about.resource = resource.arn(self.caller.principal.account());
            let granted = self.permit(resource, about).await?;
            let seen = self.find(granted).await?;
            work(&self, &seen).await.map(Done::read)
        };
        self.caller
            .run_audited(&self.hansard.store, ReplayRecording::ENTRY.name, self.about(how), steps, Ok)
            .await
    }

    /// Writes the audit row of a look that was refused before policy was asked, and gives the refusal back.
    pub(crate) async fn refuse(&self, how: &str, error: ActionError) -> ActionError {
        let mut about = self.about(how);
        if let Ok(resource) = self.resource().await {
            about.resource = resource.arn(self.caller.principal.account());
        }
        self.caller.refuse(&self.hansard.store, ReplayRecording::ENTRY.name, &about, error).await
    }

    /// What is known before the recording is found: its instance, in the deployment's region.
    fn about(&self, how: &str) -> About {
        let region = self.hansard.settings.region.clone();
        let nowhere = Resource::Instance(InstanceFacts::untagged(region, self.viewer.instance.clone()));
        About {
            resource: nowhere.arn(self.caller.principal.account()),
            recording: Some(self.viewer.recording.to_string()),
            how: how.to_owned(),
            ..About::default()
        }
    }

    async fn permit(
        &self,
        resource: Resource,
        about: &mut About,
    ) -> Result<Granted<ReplayRecording>, ActionError> {
        self.check_access_key().await?;
        let policies = self.hansard.store.policies_of(&self.caller.principal).await?;
        let granted = self.caller.authorize(resource, &policies, &self.caller.facts(), about);
        granted.map_err(|denied| {
            // A viewer with a ticket knows the recording, so that a lost permission is reported as such.
            let denied = Denied { told: Told::Denial, ..denied };
            Denial::sealed(denied, &self.hansard.keys).into()
        })
    }

    /// Whether the key that asked for the ticket is still active, for the same caller. Switching off or deleting a key,
    /// for instance after its secret leaked, ends what was opened with it; so does the end of a role's session.
    async fn check_access_key(&self) -> Result<(), ActionError> {
        let key = self.hansard.store.find_access_key(&self.access_key).await?;
        let signs = key.is_some_and(|key| {
            key.status == AccessKeyStatus::Active
                && key.principal == self.caller.principal
                && key.session.is_none_or(|session| !session.expired(self.now()))
        });
        if signs {
            return Ok(());
        }
        let message = "The access key that asked for this replay is no longer active.";
        Err(ActionError::refused(ErrorCode::ForbiddenRam, message))
    }

    async fn resource(&self) -> Result<Resource, ActionError> {
        let (store, account) = (&self.hansard.store, self.caller.principal.account());
        let instance = &self.viewer.instance;
        let of = store.instance_facts(account, instance.clone(), &self.hansard.settings.region).await?;
        let found = store.recording_facts(account, instance, &self.viewer.recording).await?;
        Ok(Resource::Recording { of, found })
    }

    async fn find(&self, granted: Granted<ReplayRecording>) -> Result<Seen, ActionError> {
        let found = self.hansard.store.find_recording(&granted, &self.viewer.recording).await?;
        let recording = found.ok_or(ErrorCode::RecordingNotFound)?;
        if recording.expired(self.now()) {
            return Err(ErrorCode::RecordingExpired.into());
        }
        Ok(Seen { granted, recording })
    }
}

/// The token of a path. Nobody has a session for a malformed token.
pub(crate) fn parse_token(text: &str) -> Result<TerminalSessionToken, ActionError> {
    TerminalSessionToken::parse(text).map_err(|_| ErrorCode::RecordingNotFound.into())
}

//! One look at a recording: who looks, whether policy lets them still, whether it has expired, and the audit row.
//! Nothing of a recording leaves this server by replay on another way.

use std::net::IpAddr;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use domain::access_key::AccessKeyStatus;
use domain::actions::{Action as _, ReplayRecording};
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{self, Denied, Granted, InstanceFacts, RequestFacts, Resource, Told};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::recording_life::Recording;
use domain::{Region, TerminalSessionToken, Timestamp};
use openapi::error_codes::ErrorCode;

use super::session;
use super::tickets::Viewer;
use crate::Hansard;
use crate::diagnostics::Denial;
use crate::errors::ActionError;
use crate::request::{self, RequestId};
use crate::stranger::Stranger;

/// A viewer's request, authenticated by a ticket or by a session.
pub(crate) struct Viewing {
    pub(crate) hansard: Data<Hansard>,
    pub(crate) request_id: RequestId,
    pub(crate) now: Timestamp,
    viewer: Viewer,
    principal: Principal,
    access_key: AccessKeyId,
    facts: RequestFacts,
    source_address: Option<IpAddr>,
    user_agent: String,
}

/// What a look found: the recording, and the permission to read it.
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
        let session = session.map_err(|error| Stranger::of(request, hansard).refuse(error))?;
        Self::new(request, hansard, session.viewer)
    }

    /// A request of a viewer whose ticket or session was checked.
    pub(crate) fn new(
        request: &HttpRequest,
        hansard: &Data<Hansard>,
        viewer: Viewer,
    ) -> Result<Self, ActionError> {
        let (principal, access_key) = (viewer.principal()?, viewer.access_key()?);
        let now = hansard.now();
        let source_address = request::source_address(request);
        let secure_transport = request::secure_transport(request);
        Ok(Self {
            hansard: hansard.clone(),
            request_id: RequestId::of(request),
            now,
            viewer,
            principal,
            access_key,
            facts: RequestFacts { now, source_address, secure_transport, multi_factor: false },
            source_address,
            user_agent: request::user_agent(request),
        })
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
        let (resource, found) = match self.resource().await {
            Ok(resource) => (resource.clone(), self.permit(resource).await),
            Err(error) => {
                let nowhere = self.instance_in(self.hansard.settings.region.clone());
                (nowhere, Err((AuditDecision::NotAsked, error)))
            }
        };
        let (decision, outcome) = match found {
            Err((decision, error)) => (decision, Err(error)),
            Ok(granted) => {
                let decision = AuditDecision::Allowed { by: granted.by().to_owned() };
                let outcome = match self.find(granted).await {
                    Ok(seen) => work(&self, &seen).await,
                    Err(error) => Err(error),
                };
                (decision, outcome)
            }
        };
        let result = match &outcome {
            Ok(_) => "OK".to_owned(),
            Err(error) => error.wire().code_text(),
        };
        self.record(&resource, decision, &result, how).await?;
        outcome
    }

    /// Writes the audit row of a look that was refused before policy was asked, and gives the refusal back.
    pub(crate) async fn refuse(&self, how: &str, error: ActionError) -> ActionError {
        let resource =
            self.resource().await.unwrap_or_else(|_| self.instance_in(self.hansard.settings.region.clone()));
        let recorded = self.record(&resource, AuditDecision::NotAsked, &error.wire().code_text(), how).await;
        recorded.err().unwrap_or(error)
    }

    async fn permit(
        &self,
        resource: Resource,
    ) -> Result<Granted<ReplayRecording>, (AuditDecision, ActionError)> {
        let not_asked = |error| (AuditDecision::NotAsked, error);
        self.check_access_key().await.map_err(not_asked)?;
        let policies = self.hansard.store.policies_of(&self.principal).await;
        let policies = policies.map_err(|error| not_asked(error.into()))?;
        gate::authorize(&self.principal, resource, &policies, &self.facts).map_err(|denied| {
            let decision = AuditDecision::Denied { by: denied.by.clone() };
            // Whoever has a ticket knows the recording: a permission that is lost is told as what it is.
            let denied = Denied { told: Told::Denial, ..denied };
            (decision, Denial::sealed(denied, &self.hansard.keys).into())
        })
    }

    /// Whether the key that asked for the ticket still signs, for the same caller. A key that is switched off or
    /// deleted, as one is whose secret has leaked, ends what was opened with it; so does the end of a role's session.
    async fn check_access_key(&self) -> Result<(), ActionError> {
        let key = self.hansard.store.find_access_key(&self.access_key).await?;
        let signs = key.is_some_and(|key| {
            key.status == AccessKeyStatus::Active
                && key.principal == self.principal
                && key.session.is_none_or(|session| !session.expired(self.now))
        });
        if signs {
            return Ok(());
        }
        let message = "The access key that asked for this replay does not sign any more.";
        Err(ActionError::refused(ErrorCode::ForbiddenRam, message))
    }

    async fn resource(&self) -> Result<Resource, ActionError> {
        let (store, account) = (&self.hansard.store, self.principal.account());
        let instance = &self.viewer.instance;
        let of = store.instance_facts(account, instance.clone(), &self.hansard.settings.region).await?;
        let found = store.recording_facts(account, instance, &self.viewer.recording).await?;
        Ok(Resource::Recording { of, found })
    }

    fn instance_in(&self, region: Region) -> Resource {
        Resource::Instance(InstanceFacts::untagged(region, self.viewer.instance.clone()))
    }

    async fn find(&self, granted: Granted<ReplayRecording>) -> Result<Seen, ActionError> {
        let found = self.hansard.store.find_recording(&granted, &self.viewer.recording).await?;
        let recording = found.ok_or(ErrorCode::RecordingNotFound)?;
        if recording.expired(self.now) {
            return Err(ErrorCode::RecordingExpired.into());
        }
        Ok(Seen { granted, recording })
    }

    async fn record(
        &self,
        resource: &Resource,
        decision: AuditDecision,
        result: &str,
        how: &str,
    ) -> Result<(), ActionError> {
        let event = AuditEvent {
            request_id: self.request_id.as_str().to_owned(),
            at: self.now,
            account: self.principal.account().clone(),
            principal: self.principal.arn(),
            access_key_id: Some(self.access_key.as_str().to_owned()),
            action: ReplayRecording::ENTRY.name.to_owned(),
            resource: resource.arn(self.principal.account()),
            decision,
            result: result.to_owned(),
            source_address: self.source_address,
            user_agent: self.user_agent.clone(),
            recording: Some(self.viewer.recording.to_string()),
            how: how.to_owned(),
        };
        Ok(self.hansard.store.record_audit(event).await?)
    }
}

/// The token of a path. What is no token names no recording that anybody has a session for.
pub(crate) fn parse_token(text: &str) -> Result<TerminalSessionToken, ActionError> {
    TerminalSessionToken::parse(text).map_err(|_| ErrorCode::RecordingNotFound.into())
}

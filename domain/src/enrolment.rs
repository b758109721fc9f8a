//! Decides whether a join token enrols an agent.

use crate::agent::{Agent, JoinToken, JoinTokenRefused};

/// A join token that an agent presents, in its present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedToken {
    /// The token.
    pub token: JoinToken,
    /// Whether it was used before.
    pub used: bool,
}

/// A join token that admits this agent to its instance, unless another agent is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    agent: Agent,
    permits_replace: bool,
}

/// An agent takes its place on its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAdmitted {
    /// The agent.
    pub agent: Agent,
    /// Whether another agent must be replaced first.
    pub replaces: bool,
}

impl PresentedToken {
    /// Admits an agent with a token at the moment of its enrolment; `None` is an unknown token.
    ///
    /// # Errors
    /// [`JoinTokenRefused`] when it is not known, was used, has expired, or is for another account, region or instance.
    pub fn admit(presented: Option<Self>, agent: Agent) -> Result<Admitted, JoinTokenRefused> {
        let Self { token, used } = presented.ok_or(JoinTokenRefused::NotFound)?;
        if used {
            return Err(JoinTokenRefused::Used);
        }
        if token.expires_at <= agent.enrolled_at {
            return Err(JoinTokenRefused::Expired);
        }
        let same_place = token.account == agent.account && token.region == agent.region;
        if !same_place || !token.instances.matches(&agent.instance) {
            return Err(JoinTokenRefused::InstanceMismatch);
        }
        Ok(Admitted { agent, permits_replace: token.permits_replace })
    }
}

impl Admitted {
    /// Takes the place on the instance. One that has an agent is taken over only when it is asked for and the token
    /// permits it.
    ///
    /// # Errors
    /// [`JoinTokenRefused::AgentAlreadyEnrolled`].
    pub fn take_place(
        self,
        has_agent: bool,
        asks_to_replace: bool,
    ) -> Result<AgentAdmitted, JoinTokenRefused> {
        if has_agent && !(asks_to_replace && self.permits_replace) {
            return Err(JoinTokenRefused::AgentAlreadyEnrolled);
        }
        Ok(AgentAdmitted { agent: self.agent, replaces: has_agent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{InstancePattern, JoinTokenSecret};
    use crate::{AgentId, Timestamp};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn agent() -> Agent {
        Agent {
            id: AgentId::generate(),
            account: "1609982529000000".parse().unwrap(),
            instance: "i-web1".parse().unwrap(),
            region: "cn-hangzhou".parse().unwrap(),
            authentication_key: vec![1; 32],
            sealing_key: vec![2; 32],
            hostname: "web-1".to_owned(),
            version: "0.1.0".to_owned(),
            capabilities: Vec::new(),
            enrolled_at: at(10),
            last_seen_at: at(10),
            retired: None,
        }
    }

    fn token() -> JoinToken {
        JoinToken {
            hash: JoinTokenSecret::generate().hash(),
            account: "1609982529000000".parse().unwrap(),
            region: "cn-hangzhou".parse().unwrap(),
            instances: InstancePattern::parse("i-web*").unwrap(),
            permits_replace: false,
            created_by: "acs:ram::1609982529000000:root".to_owned(),
            created_at: at(1),
            expires_at: at(11),
        }
    }

    fn admit(token: JoinToken, used: bool) -> Result<Admitted, JoinTokenRefused> {
        PresentedToken::admit(Some(PresentedToken { token, used }), agent())
    }

    #[test]
    fn a_token_admits_once_and_until_it_expires() {
        assert!(admit(token(), false).is_ok());
        assert_eq!(PresentedToken::admit(None, agent()), Err(JoinTokenRefused::NotFound));
        assert_eq!(admit(token(), true), Err(JoinTokenRefused::Used));
        let expired = || JoinToken { expires_at: at(10), ..token() };
        assert_eq!(admit(expired(), false), Err(JoinTokenRefused::Expired));
        // A used token is reported as used, even if it has expired since.
        assert_eq!(admit(expired(), true), Err(JoinTokenRefused::Used));
    }

    #[test]
    fn a_token_admits_to_its_own_account_region_and_instances() {
        let account = "1609982529000001".parse().unwrap();
        let region = "cn-beijing".parse().unwrap();
        let instances = InstancePattern::parse("i-db*").unwrap();
        for other in [
            JoinToken { account, ..token() },
            JoinToken { region, ..token() },
            JoinToken { instances, ..token() },
        ] {
            assert_eq!(admit(other, false), Err(JoinTokenRefused::InstanceMismatch));
        }
    }

    #[test]
    fn an_instance_that_has_an_agent_is_taken_over_only_by_permission_and_on_request() {
        for (permits_replace, has_agent, asks_to_replace, expected) in [
            (false, false, false, Some(false)),
            (true, false, true, Some(false)),
            (true, true, true, Some(true)),
            (true, true, false, None),
            (false, true, true, None),
            (false, true, false, None),
        ] {
            let admitted = admit(JoinToken { permits_replace, ..token() }, false).unwrap();
            let taken = admitted.take_place(has_agent, asks_to_replace);
            match expected {
                Some(replaces) => assert_eq!(taken.unwrap().replaces, replaces),
                None => assert_eq!(taken, Err(JoinTokenRefused::AgentAlreadyEnrolled)),
            }
        }
    }
}

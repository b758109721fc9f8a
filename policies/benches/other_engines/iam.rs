//! iam-rs reads AWS documents only: `arn:aws:` for `acs:`, and account ids of twelve digits.

use iam_rs::{
    Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, PolicyEvaluator, Principal, PrincipalId,
};

use crate::Engine;
use crate::workload::{self, ACTION};

pub(crate) fn engine(statements: usize) -> Engine {
    Engine::new("iam-rs 0.8, in AWS spelling", |address| {
        let arn = |statement: &workload::Statement| {
            format!("arn:aws:{}:*:123456789012:{}", statement.service, statement.resource)
        };
        let documents = workload::documents(statements, "2012-10-17", arn, "aws:SourceIp");
        let policies = documents.iter().map(|text| IAMPolicy::from_json(text).expect("a valid document"));
        let evaluator = PolicyEvaluator::with_policies(policies.collect());
        let mut context = Context::new();
        for (key, value) in [
            ("aws:SecureTransport", ContextValue::Boolean(true)),
            ("aws:MultiFactorAuthPresent", ContextValue::Boolean(false)),
            ("aws:PrincipalArn", ContextValue::String("arn:aws:iam::123456789012:user/alice".to_owned())),
            ("aws:SourceIp", ContextValue::String(address.to_owned())),
        ] {
            context.insert(key.to_owned(), value);
        }
        let user = PrincipalId::String("arn:aws:iam::123456789012:user/alice".to_owned());
        let instance = Arn::parse("arn:aws:ecs-workbench:cn-hangzhou:123456789012:workbench/i-prod7");
        let request = IAMRequest::new_with_context(
            Principal::Aws(user),
            ACTION,
            instance.expect("a valid name"),
            context,
        );
        move || evaluator.evaluate(&request).expect("a decision").decision == Decision::Allow
    })
}

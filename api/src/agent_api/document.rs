//! The OpenAPI document of the agent API, made from the wire structs of `agent_protocol` and its table of error codes.
//! `openapi/agent-v1.json` is this document, committed; a test fails when the two differ.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use agent_protocol::link::{AgentMessage, ServerMessage};
use agent_protocol::{AgentErrorCode, EffectiveConfiguration};
use openapi::documents::{ERROR_CODES_EXTENSION, text_of};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{Components, ComponentsBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, Server,
};

use super::examples;
use super::grants::GRANT_HEADER;
use crate::http::shared_bytes::SharedBytes;

/// What an agent's author reads before the calls.
const DESCRIPTION: &str = include_str!("document.md");
/// The recording format, whole: the only other thing that an agent's author needs.
const FORMAT: &str = include_str!("../../../recording/FORMAT.md");

const JSON: &str = "application/json;charset=utf-8";
const AGENT_TOKEN: &str = "agent-token";

/// What any authenticated call can be answered with.
const EVERY_CALL: &[AgentErrorCode] = &[
    AgentErrorCode::InvalidRequest,
    AgentErrorCode::RequestEntityTooLarge,
    AgentErrorCode::InvalidAgentToken,
    AgentErrorCode::AgentTokenExpired,
    AgentErrorCode::AgentTokenReplayed,
    AgentErrorCode::AgentNotFound,
    AgentErrorCode::Throttling,
    AgentErrorCode::InternalError,
    AgentErrorCode::ServiceUnavailable,
];

/// What a call without an agent's token can be answered with, whatever it asks.
const EVERY_OPEN_CALL: &[AgentErrorCode] = &[
    AgentErrorCode::InvalidRequest,
    AgentErrorCode::RequestEntityTooLarge,
    AgentErrorCode::Throttling,
    AgentErrorCode::InternalError,
    AgentErrorCode::ServiceUnavailable,
];

/// The document as text: what is committed, what is served, and what `hansard openapi` prints.
#[must_use]
pub fn document() -> String {
    text_of(&build())
}

pub(super) async fn get() -> HttpResponse {
    // Anybody may ask: it is printed once.
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().into());
    let body = SharedBytes::from(TEXT.clone());
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body)
}

fn build() -> OpenApi {
    let mut document = Builder { components: Components::new(), paths: PathsBuilder::new() };
    document.enrol();
    document.configuration();
    document.link();
    document.recordings();
    document.unrecorded_sessions();
    document.upload();
    document.schema_of::<EffectiveConfiguration>();
    document.schema_of::<AgentMessage>();
    document.schema_of::<ServerMessage>();
    document.finish()
}

struct Builder {
    components: Components,
    paths: PathsBuilder,
}

/// One call.
struct Call {
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    success: (&'static str, Response),
    authenticated: bool,
    codes: &'static [AgentErrorCode],
}

impl Builder {
    fn enrol(&mut self) {
        let call = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/enrol",
            id: "enrol",
            summary: "Enrols an agent with a join token.",
            description: "The only call that needs no agent token. The join token is used up when, and only when, the call succeeds: a \
                 repeated call after a lost reply answers `InvalidJoinToken.Used`, and the administrator makes another token.",
            parameters: vec![],
            body: Some(self.request(&examples::enrol())),
            success: ("200", self.reply("The agent is enrolled.", &examples::enrolled())),
            authenticated: false,
            codes: &[
                AgentErrorCode::JoinTokenNotFound,
                AgentErrorCode::JoinTokenExpired,
                AgentErrorCode::JoinTokenUsed,
                AgentErrorCode::JoinTokenInstanceMismatch,
                AgentErrorCode::AgentAlreadyEnrolled,
            ],
        };
        self.add(call);
    }

    fn configuration(&mut self) {
        let call = Call {
            method: HttpMethod::Get,
            path: "/agent/v1/configuration",
            id: "getConfiguration",
            summary: "The configuration in force, signed.",
            description: "The payload is the JSON of an `EffectiveConfiguration`, in base64.",
            parameters: vec![],
            body: None,
            success: ("200", self.reply("The configuration.", &examples::configuration_reply())),
            authenticated: true,
            codes: &[],
        };
        self.add(call);
    }

    fn link(&mut self) {
        let call = Call {
            method: HttpMethod::Get,
            path: "/agent/v1/link",
            id: "openLink",
            summary: "A WebSocket that carries configurations and channels.",
            description: "The agent sends `AgentMessage`, the control plane `ServerMessage`, each as JSON in a text frame.",
            parameters: vec![],
            body: None,
            success: (
                "101",
                ResponseBuilder::new().description("The connection is a WebSocket from here on.").build(),
            ),
            authenticated: true,
            codes: &[],
        };
        self.add(call);
    }

    fn recordings(&mut self) {
        let open = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/recordings",
            id: "openRecording",
            summary: "Opens a recording.",
            description: "Opens a recording: the control plane stores `start.json` and says where the recording goes.",
            parameters: vec![],
            body: Some(self.request(&examples::open())),
            success: ("200", self.reply("The recording is known.", &examples::opened())),
            authenticated: true,
            codes: &[
                AgentErrorCode::InvalidStart,
                AgentErrorCode::RecordingConflict,
                AgentErrorCode::StorageTargetUnusable,
                AgentErrorCode::TooManyOpenRecordings,
                AgentErrorCode::TooManyUnclaimedBytes,
            ],
        };
        let succession = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/recordings/{token}/succession",
            id: "takeOverRecording",
            summary: "Takes over a recording of an earlier agent of the instance.",
            description: "From then on the agent that calls delivers the recording, and nobody else. The reply has the control plane's leave to \
                 seal it, or, if it is sealed already, the SHA-256 of the manifest that did. Asked again, the same leave is given.",
            parameters: vec![token()],
            body: Some(self.request(&examples::succession())),
            success: ("200", self.reply("The recording is the agent's to deliver.", &examples::succeeded())),
            authenticated: true,
            codes: &[
                AgentErrorCode::InvalidStart,
                AgentErrorCode::RecordingNotFound,
                AgentErrorCode::RecordingConflict,
                AgentErrorCode::SuccessionRefused,
                AgentErrorCode::StorageTargetUnusable,
                AgentErrorCode::TooManyOpenRecordings,
                AgentErrorCode::TooManyUnclaimedBytes,
            ],
        };
        let grant = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/recordings/{token}/grants",
            id: "grantUpload",
            summary: "Permits the upload of one segment.",
            description: "The grant is for exactly these bytes, and is valid for 10 minutes. Only segments need grants.",
            parameters: vec![token()],
            body: Some(self.request(&examples::grant_request())),
            success: ("200", self.reply("How to write the object.", &examples::grant())),
            authenticated: true,
            codes: &[
                AgentErrorCode::RecordingNotFound,
                AgentErrorCode::RecordingSealed,
                AgentErrorCode::InvalidObjectName,
                AgentErrorCode::StorageTargetUnusable,
                AgentErrorCode::TooManyUnclaimedBytes,
            ],
        };
        let acknowledge = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/recordings/{token}/segments",
            id: "acknowledgeSegment",
            summary: "Claims an uploaded segment for the recording.",
            description: "Segments are claimed in order. After a reply with 200 the segment is safe, and the agent may erase its copy.",
            parameters: vec![token()],
            body: Some(self.request(&examples::segment())),
            success: ("200", self.reply("The segment is safe.", &examples::acknowledged())),
            authenticated: true,
            codes: &[
                AgentErrorCode::RecordingNotFound,
                AgentErrorCode::RecordingSealed,
                AgentErrorCode::ObjectNotFound,
                AgentErrorCode::SegmentOutOfOrder,
                AgentErrorCode::InvalidSegment,
                AgentErrorCode::StorageTargetUnusable,
            ],
        };
        let seal = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/recordings/{token}/seal",
            id: "sealRecording",
            summary: "Closes a recording with the agent's signed manifest.",
            description: "`Status` is `finished` when the command ended, `interrupted` when the recording broke off, `failed` when it has \
                 no segment.",
            parameters: vec![token()],
            body: Some(self.request(&examples::seal())),
            success: ("200", self.reply("The recording is closed.", &examples::sealed())),
            authenticated: true,
            codes: &[
                AgentErrorCode::RecordingNotFound,
                AgentErrorCode::RecordingSealed,
                AgentErrorCode::ObjectAlreadyExists,
                AgentErrorCode::InvalidManifest,
                AgentErrorCode::StorageTargetUnusable,
            ],
        };
        for call in [open, succession, grant, acknowledge, seal] {
            self.add(call);
        }
    }

    fn unrecorded_sessions(&mut self) {
        let call = Call {
            method: HttpMethod::Post,
            path: "/agent/v1/unrecorded-sessions",
            id: "reportUnrecordedSessions",
            summary: "Reports sessions that went on unrecorded.",
            description: "For sessions that had to be recorded, could not be, and went on under `FailurePolicy` `best_effort`. The audit trail \
                 gets a row. Keep a report on the disk until it is answered with 200.",
            parameters: vec![],
            body: Some(self.request(&examples::unrecorded())),
            success: ("200", self.reply("The audit trail has it.", &examples::unrecorded_reported())),
            authenticated: true,
            codes: &[],
        };
        self.add(call);
    }

    fn upload(&mut self) {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("binary".to_owned())));
        let body = RequestBodyBuilder::new()
            .description(Some("Exactly the bytes of the grant."))
            .content("application/octet-stream", ContentBuilder::new().schema(Some(bytes.build())).build())
            .required(Some(Required::True))
            .build();
        let call = Call {
            method: HttpMethod::Put,
            path: "/agent/v1/uploads/{token}/{name}",
            id: "upload",
            summary: "Uploads the bytes of one segment.",
            description: "Where a grant's `Url` leads when the object store takes nothing from outside. Go by the grant's `Method`, `Url` and \
                 `Headers`, and do not build this address. The same bytes again are answered with 200.",
            parameters: vec![
                token(),
                parameter("name", ParameterIn::Path, "The object's name below the recording's folder."),
                parameter(GRANT_HEADER, ParameterIn::Header, "As the grant's `Headers` gave it."),
            ],
            body: Some(body),
            success: ("200", self.reply("The object is stored.", &examples::uploaded())),
            authenticated: false,
            codes: &[
                AgentErrorCode::AgentNotFound,
                AgentErrorCode::InvalidGrant,
                AgentErrorCode::ObjectMismatch,
                AgentErrorCode::ObjectAlreadyExists,
                AgentErrorCode::StorageTargetUnusable,
            ],
        };
        self.add(call);
    }

    fn add(&mut self, call: Call) {
        let common = if call.authenticated { EVERY_CALL } else { EVERY_OPEN_CALL };
        let codes: Vec<&str> = common.iter().chain(call.codes).map(|code| code.code()).collect();
        let security = if call.authenticated {
            SecurityRequirement::new(AGENT_TOKEN, Vec::<String>::new())
        } else {
            SecurityRequirement::default()
        };
        let mut operation = OperationBuilder::new()
            .operation_id(Some(call.id))
            .summary(Some(call.summary))
            .description(Some(call.description))
            .request_body(call.body)
            .response(call.success.0, call.success.1)
            .response("default", self.reply("Refused, or failed.", &examples::refused()))
            .security(security)
            .extensions(Some(ExtensionsBuilder::new().add(ERROR_CODES_EXTENSION, codes).build()));
        for parameter in call.parameters {
            operation = operation.parameter(parameter);
        }
        let paths = std::mem::take(&mut self.paths);
        self.paths = paths.path(call.path, PathItem::new(call.method, operation.build()));
    }

    fn request<T: ToSchema + Serialize>(&mut self, example: &T) -> RequestBody {
        self.schema_of::<T>();
        RequestBodyBuilder::new()
            .content("application/json", content_of(example))
            .required(Some(Required::True))
            .build()
    }

    fn reply<T: ToSchema + Serialize>(&mut self, description: &str, example: &T) -> Response {
        self.schema_of::<T>();
        ResponseBuilder::new().description(description).content(JSON, content_of(example)).build()
    }

    fn schema_of<T: ToSchema>(&mut self) {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        inner.push((T::name().into_owned(), T::schema()));
        self.components.schemas.extend(inner);
    }

    fn finish(self) -> OpenApi {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("EdDSA by the agent's authentication key, bound to method, path and body; see \"Proving a request\"."))
            .build();
        let components = ComponentsBuilder::from(self.components)
            .security_scheme(AGENT_TOKEN, SecurityScheme::Http(scheme))
            .build();
        let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
        let info = InfoBuilder::new()
            .title("Hansard: agent API")
            .version("1.0")
            .description(Some(format!("{DESCRIPTION}{FORMAT}")))
            .license(Some(license))
            .build();
        let mut document = OpenApiBuilder::new()
            .info(info)
            .servers(Some([Server::new("/")]))
            .paths(self.paths.build())
            .components(Some(components))
            .build();
        document.extensions =
            Some(ExtensionsBuilder::new().add(ERROR_CODES_EXTENSION, error_table()).build());
        document
    }
}

fn content_of<T: ToSchema + Serialize>(example: &T) -> utoipa::openapi::Content {
    let example = serde_json::to_value(example).expect("an example has strings, numbers, lists and maps");
    let schema = RefOr::Ref::<Schema>(Ref::from_schema_name(T::name()));
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

fn token() -> Parameter {
    parameter("token", ParameterIn::Path, "The TerminalSessionToken.")
}

fn parameter(name: &str, place: ParameterIn, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

fn error_table() -> Value {
    let row = |code: &AgentErrorCode| json!({ "Code": code.code(), "HttpStatus": code.status(), "Retryable": code.retryable() });
    AgentErrorCode::ALL.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/agent-v1.json");

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test program's own switch, not a setting of the product")]
    fn the_committed_document_is_the_compiled_one() {
        let compiled = document();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(COMMITTED, &compiled).unwrap();
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(
            committed == compiled,
            "openapi/agent-v1.json is out of date; UPDATE_OPENAPI=1 cargo test -p api --lib document writes it anew"
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = document();
        let value: Value = serde_json::from_str(&text).unwrap();
        let schemas = value["components"]["schemas"].as_object().unwrap();
        let mut references = 0;
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
            references += 1;
        }
        assert!(references >= 20, "{references}");
    }

    #[test]
    fn every_code_of_the_table_is_met_somewhere() {
        let value = serde_json::to_value(build()).unwrap();
        let mut met: Vec<String> = vec!["NotFound".to_owned(), "MethodNotAllowed".to_owned()];
        for item in value["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let codes = operation[ERROR_CODES_EXTENSION].as_array().unwrap();
                met.extend(codes.iter().map(|code| code.as_str().unwrap().to_owned()));
            }
        }
        for code in AgentErrorCode::ALL {
            assert!(met.iter().any(|met| met == code.code()), "{}", code.code());
        }
    }

    /// Why a value does not fit a schema of the document; the keywords are those that the document has.
    fn misfit(root: &Value, schema: &Value, value: &Value) -> Option<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            return misfit(root, &root["components"]["schemas"][name], value)
                .map(|why| format!("{name}: {why}"));
        }
        if let Some(any) = schema["oneOf"].as_array() {
            let misfits: Vec<_> = any.iter().filter_map(|one| misfit(root, one, value)).collect();
            return (misfits.len() == any.len()).then(|| format!("{misfits:?}"));
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&kind) {
            return Some(format!("{value} is {kind}, and not {kinds:?}"));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Some(format!("{value} is not one of {allowed:?}"));
        }
        if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
            && number < least
        {
            return Some(format!("{number} is below {least}"));
        }
        if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
            && !regex_lite::Regex::new(pattern).unwrap().is_match(text)
        {
            return Some(format!("{text} does not fit {pattern}"));
        }
        if let Some(items) = value.as_array() {
            return items.iter().find_map(|item| misfit(root, &schema["items"], item));
        }
        let members = value.as_object()?;
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        if let Some(missing) = required.into_iter().find(|name| !members.contains_key(*name)) {
            return Some(format!("{missing} is missing"));
        }
        members.iter().find_map(|(name, member)| {
            let of = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
            match of {
                Some(of) => misfit(root, of, member).map(|why| format!("{name}: {why}")),
                None => Some(format!("{name} is not in the schema")),
            }
        })
    }

    #[test]
    fn every_body_has_an_example_that_fits_its_schema() {
        let root = serde_json::to_value(build()).unwrap();
        let mut bodies = 0;
        for (path, item) in root["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let replies = operation["responses"].as_object().unwrap().values();
                for body in replies.chain([&operation["requestBody"]]) {
                    for (media_type, content) in body["content"].as_object().into_iter().flatten() {
                        if media_type == "application/octet-stream" {
                            continue;
                        }
                        bodies += 1;
                        let example = &content["example"];
                        assert!(example.is_object(), "{path} {media_type} has no example");
                        assert_eq!(misfit(&root, &content["schema"], example), None, "{path} {media_type}");
                    }
                }
            }
        }
        assert!(bodies >= 20, "{bodies}");
    }

    #[test]
    fn a_misfit_is_noticed() {
        let root = serde_json::to_value(build()).unwrap();
        let schema = json!({ "$ref": "#/components/schemas/SegmentRequest" });
        let good = serde_json::to_value(examples::segment()).unwrap();
        assert_eq!(misfit(&root, &schema, &good), None);
        for (name, bad) in
            [("Number", json!("0")), ("Sha256", json!("abc")), ("Other", json!(1)), ("Next", json!([]))]
        {
            let mut value = good.clone();
            value[name] = bad;
            assert!(misfit(&root, &schema, &value).is_some(), "{name}");
        }
        let mut value = good.clone();
        value.as_object_mut().unwrap().remove("Stream");
        assert_eq!(misfit(&root, &schema, &value).as_deref(), Some("SegmentRequest: Stream is missing"));
    }
}

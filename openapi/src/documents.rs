//! The OpenAPI documents, one for each product and version, made from the wire structs and the table of error codes.
//! `openapi/ecs-workbench-2022-02-20.json` and its kin are these documents, committed; a test fails when they differ.

use domain::actions::{self, Action, CatalogueEntry, Product};
use domain::parameter::Shape;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    Components, ComponentsBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, ResponseBuilder, Server,
};

use crate::command_lines;
use crate::error_codes::{ErrorCode, Surface};
use crate::operations::Operation;
use crate::parameters::{Parameters, Row};
use crate::replies::ErrorReply;

/// Under this name a document carries its table of error codes, and an operation the codes it can answer with.
pub const ERROR_CODES_EXTENSION: &str = "x-error-codes";

/// Under this name the schema of a parameter says that its length is counted in bytes of UTF-8.
const IN_BYTES_EXTENSION: &str = "x-length-in-bytes";
/// What a parameter is that is JSON.
const JSON: &str = "application/json";

/// What any call can be answered with, whatever its action.
const EVERY_CALL: &[ErrorCode] = &[
    ErrorCode::AccessKeyNotFound,
    ErrorCode::AccessKeyInactive,
    ErrorCode::IncompleteSignature,
    ErrorCode::SignatureMismatchV3,
    ErrorCode::ContentMd5NotMatched,
    ErrorCode::SignatureNonceUsed,
    ErrorCode::TimeStampExpired,
    ErrorCode::TimeStampFormat,
    ErrorCode::SignatureMethod,
    ErrorCode::SecurityTokenExpired,
    ErrorCode::SecurityTokenMalformed,
    ErrorCode::SecurityTokenMismatch,
    ErrorCode::InvalidVersion,
    ErrorCode::ActionNotFound,
    ErrorCode::UnsupportedHttpMethod,
    ErrorCode::RequestEntityTooLarge,
    ErrorCode::MalformedRequest,
    ErrorCode::ThrottlingUser,
    ErrorCode::InternalError,
    ErrorCode::ServiceUnavailable,
];

macro_rules! operations_of_the_wire {
    ($($action:ident)*) => {
        /// How each action of the wire is added to its product's document, and its parameters.
        const OPERATIONS: &[(CatalogueEntry, fn(&mut Builder), fn() -> Vec<Row>)] = &[ $( (
            actions::$action::ENTRY,
            Builder::add::<actions::$action>,
            parameters_of_operation::<actions::$action>,
        ) ),* ];
    };
}

domain::wire_actions!(operations_of_the_wire);

/// The document of a product.
#[must_use]
pub fn document(product: Product) -> OpenApi {
    let mut document = Builder { product, components: Components::new(), paths: PathsBuilder::new() };
    for (_, add, _) in OPERATIONS.iter().filter(|(entry, ..)| entry.product == product) {
        add(&mut document);
    }
    document.finish()
}

/// The names of an action's parameters; `None` if there is no such action. Any other parameter is ignored.
#[must_use]
pub fn parameters_of(product: Product, action: &str) -> Option<Vec<String>> {
    let mut operations = OPERATIONS.iter();
    let (.., rows) = operations.find(|(entry, ..)| entry.product == product && entry.name == action)?;
    Some(rows().iter().map(|row| row.name.to_owned()).collect())
}

/// Every action of the wire with what its document says of its parameters.
pub fn all_parameters() -> impl Iterator<Item = (CatalogueEntry, Vec<Row>)> {
    OPERATIONS.iter().map(|(entry, _, rows)| (*entry, rows()))
}

fn parameters_of_operation<A: Operation>() -> Vec<Row> {
    A::Request::rows()
}

/// A product's document as text: what is committed, and what `hansard openapi` prints.
#[must_use]
pub fn document_text(product: Product) -> String {
    text_of(&document(product))
}

/// Under this name a product's document is committed and served.
#[must_use]
pub fn file_name(product: Product) -> &'static str {
    match product {
        Product::Workbench => "ecs-workbench-2022-02-20.json",
        Product::Ram => "ram-2015-05-01.json",
        Product::Sts => "sts-2015-04-01.json",
    }
}

/// A document as it is committed: indented, with a newline at its end.
#[must_use]
pub fn text_of(document: &OpenApi) -> String {
    let mut text =
        document.to_pretty_json().expect("a document of strings, numbers and maps with string keys prints");
    text.push('\n');
    text
}

/// The table of error codes of one way in, as a document carries it.
#[must_use]
pub fn error_table(surface: Surface) -> Value {
    let rows = ErrorCode::ALL.iter().map(|code| code.row()).filter(|row| row.surfaces.contains(&surface));
    rows.map(|row| {
        json!({
            "Code": row.code,
            "HttpStatus": row.status,
            "Message": row.message,
            "Recommend": row.retry.sentence(),
            "Retryable": row.retry.retryable(),
        })
    })
    .collect()
}

struct Builder {
    product: Product,
    components: Components,
    paths: PathsBuilder,
}

impl Builder {
    fn add<A: Operation>(&mut self) {
        let CatalogueEntry { name, summary, .. } = A::ENTRY;
        let rows = A::Request::rows();
        let schema = schema_of_parameters::<A::Request>(&rows);
        let is_mandatory = rows.iter().any(|row| row.mandatory);
        let codes = codes_of(self.product, &rows, A::REFUSALS);
        let description = command_lines::description(name, &rows);
        self.schema_of::<A::Reply>();
        self.schema_of::<ErrorReply>();
        // The parameters are one schema; as such they stand in the operation, the only place that uses them.
        let body = RequestBodyBuilder::new()
            .description(Some(
                "In the form body or in the query. If a name is in both, its value in the body counts.",
            ))
            .content("application/x-www-form-urlencoded", ContentBuilder::new().schema(Some(schema)).build())
            .required(Some(if is_mandatory { Required::True } else { Required::False }))
            .build();
        let operation = OperationBuilder::new()
            .operation_id(Some(name))
            .summary(Some(summary))
            .description(Some(description))
            .tag(self.product.ram_code())
            .parameter(header("x-acs-action", name, "The action. Signed."))
            .parameter(header("x-acs-version", self.product.version(), "The version. Signed."))
            .request_body(Some(body))
            .response("200", response::<A::Reply>("Done."))
            .response("429", throttled())
            .response("default", response::<ErrorReply>("Refused or failed. Nothing was changed."))
            .extensions(Some(ExtensionsBuilder::new().add(ERROR_CODES_EXTENSION, codes).build()))
            .build();
        // RPC has one path. The fragment, which is never sent, tells the actions apart in this document.
        let path = format!("/#Action={name}");
        let paths = std::mem::take(&mut self.paths);
        self.paths = paths.path(path, PathItem::new(HttpMethod::Post, operation));
    }

    fn schema_of<T: ToSchema>(&mut self) {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        inner.push((T::name().into_owned(), T::schema()));
        self.components.schemas.extend(inner);
    }

    fn finish(self) -> OpenApi {
        let authorization = ApiKeyValue::with_description(
            "Authorization",
            "ACS3-HMAC-SHA256 Credential=..,SignedHeaders=..,Signature=.. (signature V3); signature V1 (HMAC-SHA1) in \
             the parameters is accepted too.",
        );
        let components = ComponentsBuilder::from(self.components)
            .security_scheme("signature", SecurityScheme::ApiKey(ApiKey::Header(authorization)))
            .build();
        let mut document = OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title(format!("Hansard: {}", self.product.ram_code()))
                    .version(self.product.version())
                    .description(Some(description(self.product)))
                    .license(Some(
                        LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
                    ))
                    .build(),
            )
            .servers(Some([Server::new("/")]))
            .paths(self.paths.build())
            .components(Some(components))
            .security(Some([SecurityRequirement::new("signature", Vec::<String>::new())]))
            .build();
        document.extensions =
            Some(ExtensionsBuilder::new().add(ERROR_CODES_EXTENSION, error_table(Surface::Wire)).build());
        document
    }
}

fn description(product: Product) -> &'static str {
    match product {
        Product::Workbench => {
            "Records what people do on instances, and lets the right people find and replay it. \
             Wire-compatible with ecs-workbench: every call is a signed GET or POST of `/`."
        }
        Product::Ram => {
            "Users, groups, roles and policies: who may do what. Wire-compatible with RAM: every call is a signed GET \
             or POST of `/`."
        }
        Product::Sts => {
            "Sessions of roles, and who the caller is. Wire-compatible with STS: every call is a signed GET or POST \
             of `/`."
        }
    }
}

/// The parameters of an action as one schema, as the types of its request's fields have them.
fn schema_of_parameters<P: Parameters>(rows: &[Row]) -> Schema {
    // What an action does not know is ignored. It is a text all the same: no name is given twice.
    let ignored = ObjectBuilder::new().schema_type(Type::String);
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(P::ABOUT))
        .additional_properties(Some(ignored));
    for row in rows {
        object = object.property(row.name, schema_of_parameter(row));
        if row.mandatory {
            object = object.required(row.name);
        }
    }
    object.build().into()
}

fn schema_of_parameter(row: &Row) -> Schema {
    let about = ObjectBuilder::new().description(Some(row.about)).default(row.default.clone());
    let mut object = match &row.shape {
        Shape::Flag => about.schema_type(Type::Boolean),
        Shape::OnlyFalse => about.schema_type(Type::Boolean).enum_values(Some([false])),
        Shape::WholeNumber { least, most } => {
            let is_short = i32::try_from(*least).is_ok() && i32::try_from(*most).is_ok();
            let format = if is_short { KnownFormat::Int32 } else { KnownFormat::Int64 };
            about
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(format)))
                .minimum(Some(*least))
                .maximum(Some(*most))
        }
        Shape::OneOf(words) => about.schema_type(Type::String).enum_values(Some(words.iter().copied())),
        Shape::Text(text) => {
            let lengths = text.lengths.as_ref();
            about
                .schema_type(Type::String)
                .pattern(text.pattern.as_deref())
                .min_length(lengths.map(|lengths| *lengths.start()).filter(|least| *least > 0))
                .max_length(lengths.map(|lengths| *lengths.end()))
                .format(text.format.map(|format| SchemaFormat::Custom(format.to_owned())))
                .content_media_type(if text.json { JSON } else { "" })
                .extensions(
                    text.in_bytes.then(|| ExtensionsBuilder::new().add(IN_BYTES_EXTENSION, true).build()),
                )
        }
    }
    .build();
    object.example.clone_from(&row.example);
    object.into()
}

/// Every code that an operation can answer with: those of every call, its own, and two for each parameter.
fn codes_of(product: Product, rows: &[Row], own: &[ErrorCode]) -> Value {
    let denied = match product {
        Product::Workbench => ErrorCode::ForbiddenRam,
        Product::Ram | Product::Sts => ErrorCode::NoPermission,
    };
    let mut codes: Vec<String> =
        EVERY_CALL.iter().chain([&denied]).chain(own).map(|code| code.row().code.to_owned()).collect();
    for row in rows {
        // Recording cannot be switched on with nowhere to go, so that this one can be found missing too.
        if row.mandatory || row.name == "RecordStorageTarget" {
            codes.push(format!("Missing{}", row.name));
        }
        match product {
            Product::Workbench => codes.push(format!("Invalid{}", row.name)),
            Product::Sts => codes.push(format!("InvalidParameter.{}", row.name)),
            Product::Ram => codes.extend(row.breaks.iter().map(|rule| match rule.in_codes() {
                Some(kind) => format!("InvalidParameter.{}.{kind}", row.name),
                None => format!("InvalidParameter.{}", row.name),
            })),
        }
    }
    codes.sort_unstable();
    codes.dedup();
    codes.into()
}

fn header(name: &str, value: &str, description: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some([value])).build()))
        .build()
}

fn response<T: ToSchema>(description: &str) -> utoipa::openapi::Response {
    let content = || -> Content {
        let schema = Ref::from_schema_name(T::name());
        ContentBuilder::new().schema(Some(RefOr::Ref::<Schema>(schema))).build()
    };
    ResponseBuilder::new()
        .description(description)
        .content("application/json;charset=utf-8", content())
        .content("text/xml;charset=utf-8", content())
        .build()
}

/// A refusal that says when to call again.
fn throttled() -> utoipa::openapi::Response {
    let whole_number = |description: &str| {
        HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build()))
            .build()
    };
    let mut refused = response::<ErrorReply>("Too many calls. Nothing was changed.");
    refused.headers.insert(
        "x-acs-retry-after".to_owned(),
        whole_number("The number of milliseconds after which the same call is accepted.").into(),
    );
    refused.headers.insert("Retry-After".to_owned(), whole_number("The same in seconds, rounded up.").into());
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_of_the_wire_is_in_the_document() {
        for product in Product::ALL.iter().copied() {
            let document = serde_json::to_value(document(product)).unwrap();
            let wire = actions::CATALOGUE
                .iter()
                .filter(|entry| entry.product == product && entry.door == actions::Door::Wire);
            let mut expected: Vec<_> = wire.map(|entry| entry.name).collect();
            let paths = document["paths"].as_object().unwrap();
            let mut found: Vec<_> =
                paths.values().map(|item| item["post"]["operationId"].as_str().unwrap()).collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_parameters_of_each_action_are_those_of_its_document() {
        for product in Product::ALL.iter().copied() {
            let document = serde_json::to_value(document(product)).unwrap();
            for item in document["paths"].as_object().unwrap().values() {
                let operation = &item["post"];
                let schema =
                    &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
                assert_eq!(schema["type"], "object", "{schema}");
                let mut expected: Vec<_> = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone())
                    .collect();
                let action = operation["operationId"].as_str().unwrap();
                let mut found = parameters_of(product, action).unwrap();
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{action}");
            }
        }
        assert!(parameters_of(Product::Workbench, "ListAgents").unwrap().contains(&"PageSize".to_owned()));
        assert_eq!(parameters_of(Product::Ram, "ListAgents"), None);
    }

    #[test]
    fn operations_list_the_codes_of_their_parameters() {
        let document = serde_json::to_value(document(Product::Workbench)).unwrap();
        let codes = &document["paths"]["/#Action=SetInstanceRecordConfig"]["post"][ERROR_CODES_EXTENSION];
        let codes: Vec<_> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        for code in [
            "MissingEnabled",
            "InvalidEnabled",
            "MissingRecordStorageTarget",
            "InvalidExpirationDays",
            "Forbidden.RAM",
        ] {
            assert!(codes.contains(&code), "{code}");
        }
        assert!(!codes.contains(&"MissingExpirationDays"));
        let throttled =
            &document["paths"]["/#Action=SetInstanceRecordConfig"]["post"]["responses"]["429"]["headers"];
        assert!(throttled["x-acs-retry-after"].is_object() && throttled["Retry-After"].is_object());
        let table = document[ERROR_CODES_EXTENSION].as_array().unwrap();
        assert!(table.iter().any(|row| row["Code"] == "SignatureNonceUsed" && row["HttpStatus"] == 400));
        assert!(!table.iter().any(|row| row["Code"] == "InvalidReplayTicket.Used"));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let mut references = 0;
        for product in Product::ALL.iter().copied() {
            references += references_that_lead_somewhere(&document_text(product));
        }
        assert!(references >= 12);
    }

    fn references_that_lead_somewhere(text: &str) -> usize {
        let document: Value = serde_json::from_str(text).unwrap();
        let none = serde_json::Map::new();
        let schemas = document["components"]["schemas"].as_object().unwrap_or(&none);
        let mut references = 0;
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
            references += 1;
        }
        references
    }
}

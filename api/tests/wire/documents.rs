//! The documents, Swagger UI and `/healthz`.

use crate::http::Request;
use crate::service::Service;

#[test]
fn the_committed_document_is_served() {
    let service = Service::start();
    let reply = Request::new("GET", "/openapi.json").send(service.address);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.text, include_str!("../../../openapi/ecs-workbench-2022-02-20.json"));
    for (file, committed) in [
        ("ecs-workbench-2022-02-20.json", include_str!("../../../openapi/ecs-workbench-2022-02-20.json")),
        ("ram-2015-05-01.json", include_str!("../../../openapi/ram-2015-05-01.json")),
        ("sts-2015-04-01.json", include_str!("../../../openapi/sts-2015-04-01.json")),
    ] {
        let reply = Request::new("GET", &format!("/openapi/{file}")).send(service.address);
        assert_eq!((reply.status, reply.text.as_str()), (200, committed), "{file}");
    }
    assert_eq!(Request::new("GET", "/openapi/none.json").send(service.address).status, 404);
    let reply = Request::new("GET", "/openapi/agent-v1.json").send(service.address);
    assert!(reply.json()["paths"].as_object().is_some_and(|paths| !paths.is_empty()), "{reply:?}");
}

#[test]
fn swagger_ui_comes_from_the_program_and_loads_nothing_from_elsewhere() {
    let service = Service::start();
    let page = Request::new("GET", "/docs/").send(service.address);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!page.text.contains("https://"), "{}", page.text);
    let initializer = Request::new("GET", "/docs/swagger-initializer.js").send(service.address);
    for file in
        ["ecs-workbench-2022-02-20.json", "ram-2015-05-01.json", "sts-2015-04-01.json", "agent-v1.json"]
    {
        assert!(initializer.text.contains(&format!("/openapi/{file}")), "{file}");
    }
    // It cannot sign, so that it offers no call.
    assert!(initializer.text.contains("\"tryItOutEnabled\": false"), "{}", initializer.text);
    let methods =
        initializer.text.split_once("\"supportedSubmitMethods\":").map(|(_, rest)| rest.trim_start());
    assert!(methods.is_some_and(|methods| methods.starts_with("[]")), "{}", initializer.text);
    for file in ["swagger-ui.css", "swagger-ui-bundle.js"] {
        assert!(page.text.contains(file));
        assert_eq!(Request::new("GET", &format!("/docs/{file}")).send(service.address).status, 200, "{file}");
    }
}

#[test]
fn a_running_server_is_healthy() {
    let service = Service::start();
    let reply = Request::new("GET", "/healthz").send(service.address);
    assert_eq!((reply.status, reply.json()["Status"].as_str()), (200, Some("ok")));
    assert!(reply.header("x-acs-request-id").is_some());
}

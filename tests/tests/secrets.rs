//! Planted secrets, searched for wherever something is written: logs at the finest level, audit rows, exported files,
//! error replies, and the raw bytes of the database.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use whole_system::{Client, Deployment, DeploymentOptions, IdentitySdk, Instance, Sdk, until};

/// The name of the calling program, which the proxy sets; unlike a secret it is stored.
const USER_AGENT: &str = "planted-user-agent/0.1";

/// The requests and replies that went through a proxy.
#[derive(Clone, Default)]
struct Overheard(Arc<Mutex<Vec<(String, String)>>>);

impl Overheard {
    /// A proxy in front of the deployment, which keeps what passes through it and changes the User-Agent of requests.
    fn before(deployment: &Deployment) -> (Self, String) {
        let overheard = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = deployment.root.endpoint.strip_prefix("http://").unwrap().to_owned();
        let kept = overheard.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (server, kept) = (server.clone(), kept.clone());
                std::thread::spawn(move || {
                    if let Some(pair) = pass_on(connection.unwrap(), &server) {
                        kept.0.lock().unwrap().push(pair);
                    }
                });
            }
        });
        (overheard, address)
    }

    fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }

    /// The signatures of all requests.
    fn signatures(&self) -> Vec<String> {
        let of_request = |(request, _): &(String, String)| {
            let signature = request.split_once("Signature=")?.1;
            Some(signature.split(['&', ' ', '\r', '\n']).next()?.to_owned())
        };
        self.all().iter().filter_map(of_request).filter(|signature| signature.len() > 20).collect()
    }
}

/// Passes on one request and its reply; then the connection ends.
fn pass_on(mut client: TcpStream, server: &str) -> Option<(String, String)> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let (head, body) = loop {
        let read = client.read(&mut buffer).ok()?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        }
        if read == 0 {
            return None;
        }
    };
    // Some SDKs sign their User-Agent. Without Connection: close, the end of the reply could not be recognised.
    let signed = head.contains(";user-agent;");
    let stays = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name != "connection" && (signed || name != "user-agent")
    };
    let mut head = head.split("\r\n").filter(stays).collect::<Vec<_>>().join("\r\n");
    if !signed {
        head.push_str(&format!("\r\nUser-Agent: {USER_AGENT}"));
    }
    head.push_str("\r\nConnection: close\r\n\r\n");
    let mut upstream = TcpStream::connect(server).ok()?;
    upstream.write_all((head.clone() + &body).as_bytes()).ok()?;
    let mut reply = Vec::new();
    upstream.read_to_end(&mut reply).ok()?;
    client.write_all(&reply).ok()?;
    Some((head + &body, String::from_utf8_lossy(&reply).into_owned()))
}

/// Whether a text contains a secret, either unchanged or in the encoding of a query or a form.
fn holds(text: &str, secret: &str) -> bool {
    let encoded = secret.replace('%', "%25").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    text.contains(secret) || text.contains(&encoded)
}

/// All files below a folder, except those that are meant to contain secrets.
fn files(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.file_name().unwrap() != "server-keys.toml" {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap_or_default());
        }
    }
}

/// Secrets are ASCII, so they appear unchanged in raw bytes, whatever surrounds them.
fn texts(places: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    places.into_iter().map(|(place, bytes)| (place, text(bytes))).collect()
}

/// Which secret is in which place.
fn leaks(places: &BTreeMap<String, String>, secrets: &BTreeMap<String, String>) -> Vec<String> {
    let in_place = |(place, text): (&String, &String)| {
        let found = secrets.iter().filter(|(_, secret)| holds(text, secret));
        found.map(|(what, _)| format!("{what} in {place}")).collect::<Vec<_>>()
    };
    places.iter().flat_map(in_place).collect()
}

#[test]
fn no_secret_is_stored_in_the_clear_anywhere() {
    let arguments = vec!["--log-filter".to_owned(), "trace".to_owned()];
    let mut deployment = Deployment::start_with(DeploymentOptions { arguments, ..Default::default() });
    let (overheard, proxy) = Overheard::before(&deployment);
    let through = |client: &Client| Client { endpoint: proxy.clone(), ..client.clone() };
    let root = through(&deployment.root);
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    let mut plant = |what: &str, secret: &str| {
        assert!(secret.len() > 10, "{what} is too short to search for: {secret}");
        secrets.insert(format!("{what} ({})", secrets.len()), secret.to_owned());
    };
    plant("the root's secret", &deployment.root.access_key_secret);

    // Calls that succeed, with secrets in the query, the form and the headers, with both signatures; and calls that
    // are refused.
    deployment.record_everything();
    let user =
        deployment.user("ana", &json!([{"Effect": "Deny", "Action": "ecs-workbench:*", "Resource": "*"}]));
    plant("a user's secret", &user.access_key_secret);
    let ana = through(&user);
    let stranger =
        Client { access_key_secret: "planted-wrong-secret-0123456789".into(), ..through(&deployment.root) };
    plant("a wrong secret", &stranger.access_key_secret);
    for sdk in [Sdk::Typed, Sdk::TypedV1, Sdk::LegacyGet, Sdk::LegacyPost] {
        let get = json!({"InstanceId": "i-secret1"});
        let done = sdk.call(&root, "GetInstanceRecordConfig", &get);
        assert_eq!(done["reply"]["Root"]["InstanceId"], "*", "{done}");
        let denied = sdk.call(&ana, "GetInstanceRecordConfig", &get);
        assert_eq!(denied["error"]["code"], "Forbidden.RAM", "{denied}");
        let wrong = sdk.call(&stranger, "GetInstanceRecordConfig", &get);
        assert_eq!(wrong["error"]["code"], "SignatureDoesNotMatch", "{wrong}");
    }
    // Actions with a password in the query and in the form, existing and not, signed and not.
    for (number, sdk) in [Sdk::LegacyGet, Sdk::LegacyPost].into_iter().enumerate() {
        for action in ["LoginInstance", "CreateLoginProfile"] {
            let password = format!("Planted.Password.{action}.{number}");
            plant("a password", &password);
            let asked = json!({"InstanceId": "i-secret1", "UserName": "ana", "Username": "root", "Password": password,
                               "Host": "i-secret1", "PasswordResetRequired": "false"});
            let refused = sdk.call(&root, action, &asked);
            assert!(refused["error"]["code"].is_string(), "{refused}");
        }
    }
    let host = proxy.strip_prefix("http://").unwrap();
    let raw = |request: String| {
        let mut connection = TcpStream::connect(host).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).unwrap();
        reply
    };
    plant("a password of a stranger", "Planted.Unsigned.Query");
    plant("a password of a stranger", "Planted.Unsigned.Form");
    let target = "/?Action=LoginInstance&Version=2022-02-20&Password=";
    raw(format!("GET {target}Planted.Unsigned.Query HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let form = "Action=LoginInstance&Version=2022-02-20&Password=Planted.Unsigned.Form";
    let kind = "Content-Type: application/x-www-form-urlencoded";
    raw(format!("POST / HTTP/1.1\r\nHost: {host}\r\n{kind}\r\nContent-Length: {}\r\n\r\n{form}", form.len()));
    // A security token that is not valid.
    plant("a security token", "planted-security-token-0123456789");
    let mut command = std::process::Command::new(whole_system::program("hansard"));
    command.args(["call", "ListAgents"]).envs(root.environment());
    let output =
        command.env("ALIBABA_CLOUD_SECURITY_TOKEN", "planted-security-token-0123456789").output().unwrap();
    assert!(!output.status.success());

    // Passwords, an access key, and a session of a role with its token.
    let mut identity = IdentitySdk::of(&root);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (action, password) in
        [("CreateLoginProfile", "Planted.Password.First"), ("UpdateLoginProfile", "Planted.Password.Second")]
    {
        plant("a password that was set", password);
        identity.ok(action, &json!({"UserName": "ana", "Password": password}));
    }
    let made = identity.ok("CreateAccessKey", &json!({"UserName": "ana"}))["AccessKey"].clone();
    plant("the secret of a key", &text(&made["AccessKeySecret"]));
    let trust = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"RAM": format!("acs:ram::{}:root", deployment.account())}}]});
    let role = json!({"RoleName": "secretive", "AssumeRolePolicyDocument": trust.to_string()});
    let arn = text(&identity.ok("CreateRole", &role)["Role"]["Arn"]);
    let assumer = deployment
        .user("assumer", &json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]));
    plant("a user's secret", &assumer.access_key_secret);
    let started = IdentitySdk::of(&through(&assumer))
        .ok("AssumeRole", &json!({"RoleArn": arn, "RoleSessionName": "planted"}))["Credentials"]
        .clone();
    let session = Client {
        access_key_id: text(&started["AccessKeyId"]),
        access_key_secret: text(&started["AccessKeySecret"]),
        security_token: Some(text(&started["SecurityToken"])),
        ..root.clone()
    };
    plant("a session's secret", &session.access_key_secret);
    plant("a session's token", &text(&started["SecurityToken"]));
    // The token is used for a call that is permitted and one that is denied.
    let mut as_session = IdentitySdk::of(&session);
    as_session.ok("GetCallerIdentity", &json!({}));
    assert_eq!(as_session.refusal("ListUsers", &json!({})).1, "NoPermission");
    drop((identity, as_session));

    // A join token, used, used again, and one that never existed.
    let token = root.json(&["agents", "token", "create", "--instance-id", "i-secret1", "--ttl", "5m"]);
    let token = token["Token"].as_str().unwrap();
    plant("an unused join token", token);
    plant("an invented join token", "hjt-00112233445566778899aabbccddeeff00112233");
    for token in [token, "hjt-00112233445566778899aabbccddeeff00112233"] {
        let body = json!({"Token": token, "InstanceId": "i-other"}).to_string();
        raw(format!(
            "POST /agent/v1/enrol HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
    let instance = Instance::enrol(&deployment, "i-secret2");
    instance.wait_until_recording_is(true);
    let mut person = instance.record(&["sh", "-c", "echo recorded"]);
    assert!(person.leaves().success());
    let record = deployment.root.one_recording("finished");
    let recording = record["TerminalSessionToken"].as_str().unwrap();

    // A replay ticket, used, used again, and one that never existed; and the cookie that it is exchanged for.
    let opened = root.json(&["recordings", "open", recording]);
    let ticket = opened["ReplayUrl"].as_str().unwrap().split_once("#ticket=").unwrap().1.to_owned();
    plant("a replay ticket", &ticket);
    plant("an invented replay ticket", "planted.replay.ticket.0123456789");
    for (ticket, expected) in [
        (ticket.as_str(), "HTTP/1.1 200"),
        (&ticket, "HTTP/1.1 401"),
        ("planted.replay.ticket.0123456789", "HTTP/1.1 401"),
    ] {
        let body = json!({"Ticket": ticket}).to_string();
        let reply = raw(format!(
            "POST /replay/v1/recordings/{recording}/exchange HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert!(reply.starts_with(expected), "{reply}");
        if let Some((_, cookie)) = reply.split_once("set-cookie: ") {
            let cookie = cookie.split(';').next().unwrap().to_owned();
            plant("a replay cookie", cookie.split_once('=').unwrap().1);
            for path in ["", "/cast", "/objects/none"] {
                raw(format!(
                    "GET /replay/v1/recordings/{recording}{path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"
                ));
            }
        }
    }
    let keys = std::fs::read_to_string(deployment.data_folder().join("server-keys.toml")).unwrap();
    for key in keys.split('"').filter(|text| text.len() == 64) {
        plant("a server key", key);
    }
    let signatures = overheard.signatures();
    assert!(signatures.len() >= 16, "{signatures:?}");
    for signature in signatures {
        plant("a signature", &signature);
    }

    // Everything that is written.
    let listed = root.stdout(&["audit", "ls", "--all", "--output", "json"]);
    until("everything is exported", || {
        let exported = std::fs::read_to_string(deployment.data_folder().join("audit/events.log")).ok()?;
        exported.contains("\"Action\":\"ListAuditEvents\"").then_some(())
    });
    let mut places: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // This includes data that are not yet in the database file itself.
    files(&deployment.data_folder(), &mut places);
    assert_eq!(deployment.stop(), Some(0));
    let mut after = BTreeMap::new();
    files(&deployment.data_folder(), &mut after);
    places.extend(after.into_iter().map(|(name, bytes)| (format!("{name}, stopped"), bytes)));
    places.insert("the log".into(), deployment.log().into_bytes());
    places.insert("audit ls".into(), listed.into_bytes());
    places.insert("hansard call".into(), [output.stdout, output.stderr].concat());
    let refused = |(_, reply): &(String, String)| !reply.starts_with("HTTP/1.1 200");
    let errors: Vec<_> = overheard.all().into_iter().filter(refused).collect();
    assert!(errors.len() >= 16, "{} refusals", errors.len());
    for (number, (request, reply)) in errors.into_iter().enumerate() {
        let line =
            request.lines().next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        places.insert(format!("error reply {number} to {line}"), reply.into_bytes());
    }
    let places = texts(places);
    let leaks = leaks(&places, &secrets);
    assert!(leaks.is_empty(), "{leaks:#?}");

    // The same search finds every one of them if it is present, below the folder that was searched.
    let leaked = deployment.data_folder().join("audit/leaked");
    let all: Vec<&str> = secrets.values().map(String::as_str).collect();
    std::fs::write(&leaked, [b"\xff\0".as_slice(), all.join("\n").as_bytes()].concat()).unwrap();
    let mut bitten = BTreeMap::new();
    files(&deployment.data_folder(), &mut bitten);
    let expected = secrets.keys().map(|what| format!("{what} in {}", leaked.display()));
    assert_eq!(self::leaks(&texts(bitten), &secrets), expected.collect::<Vec<_>>());

    // What is stored is found in the same way, so the search above would have found the secrets.
    let kept_in = |what: &str, place: &str| {
        let found = |(name, text): (&String, &String)| name.contains(place) && holds(text, what);
        assert!(places.iter().any(found), "{what} is not in {place}");
    };
    // The log of the database file counts as part of it.
    for place in ["/hansard.db", "/audit/events-", "audit ls"] {
        kept_in(USER_AGENT, place);
        kept_in(&user.access_key_id, place);
        kept_in("LoginInstance", place);
    }
    kept_in("TRACE", "the log");
    kept_in(deployment.account(), "the log");
}

#[test]
fn a_secret_is_found_as_it_is_and_as_a_form_writes_it() {
    assert!(holds("...a+b/c=...", "a+b/c=") && holds("...a%2Bb%2Fc%3D&", "a+b/c="));
    assert!(!holds("a+b/c", "a+b/c=") && !holds("", "a"));
}

use std::io::Write as _;

use super::keys::{
    AUDIT_LOG_DIR, AUDIT_RETENTION, CONNECTIONS, CONNECTIONS_PER_ADDRESS, DATA_DIR, DATABASE_URL,
    INTERNAL_LISTEN, LISTEN, PUBLIC_URL, REGION, SERVER_KEYS, SHUTDOWN_DELAY,
};
use super::*;

fn resolve(
    flags: &[(&Key, &str)],
    variables: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Settings, Failure> {
    let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let mut on_disk = tempfile::Builder::new().prefix("settings").suffix(".toml").tempfile().unwrap();
    on_disk.write_all(file.unwrap_or_default().as_bytes()).unwrap();
    Settings::resolve(&flags, file.map(|_| on_disk.path()), &Environment::of(variables))
}

fn refusal(flags: &[(&Key, &str)], variables: &[(&str, &str)], file: Option<&str>) -> String {
    let failure = resolve(flags, variables, file).unwrap_err();
    assert_eq!(failure.exit_code(), 2, "{failure}");
    failure.message().to_owned()
}

#[test]
fn defaults_need_nothing() {
    let settings = resolve(&[], &[], None).unwrap();
    assert_eq!(settings.data_dir, Path::new("hansard-data"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.region.as_str(), "cn-hangzhou");
    assert_eq!(settings.local_instance_id.as_str(), "i-local");
    assert_eq!((settings.with_local_agent, settings.root), (false, None));
    assert_eq!(settings.trusted_proxies, TrustedProxies::default());
    assert_eq!(rates(&settings.throttle), (Some((1_000, 5_000)), Some((200, 2_000))));
}

#[test]
fn the_end_is_announced_for_a_while_or_not_at_all() {
    let delay = |text| resolve(&[(&SHUTDOWN_DELAY, text)], &[], None).unwrap().shutdown_delay.as_secs();
    assert_eq!((delay("0"), delay("3600")), (0, 3_600));
    assert_eq!(resolve(&[], &[], None).unwrap().shutdown_delay.as_secs(), 5);
    let refused = refusal(&[], &[("HANSARD_SHUTDOWN_DELAY", "3601")], None);
    assert!(refused.contains("from 0 to 3600"), "{refused}");
}

/// A rate and its burst.
type Numbers = Option<(u32, u32)>;

fn rates(limits: &ThrottleLimits) -> (Numbers, Numbers) {
    let numbers = |limit: RateLimit| (limit.per_second.get(), limit.burst.get());
    (limits.address.map(numbers), limits.principal.map(numbers))
}

#[test]
fn a_rate_of_zero_is_no_limit_and_the_numbers_are_independent() {
    let variables = [("HANSARD_PRINCIPAL_BURST", "7"), ("HANSARD_ADDRESS_RATE", "0")];
    let file = "principal-rate = 3\naddress-burst = \"9\"\ntrusted-proxies = \"10.0.0.1, fd00::/8\"\n";
    let settings = resolve(&[], &variables, Some(file)).unwrap();
    assert_eq!(rates(&settings.throttle), (None, Some((3, 7))));
    assert_eq!(settings.trusted_proxies, TrustedProxies::parse("10.0.0.1,fd00::/8").unwrap());
}

#[test]
fn flags_are_stronger_than_variables_than_the_file_than_defaults() {
    let file = "data-dir = \"file\"\nregion = \"cn-file\"\nlisten = \"127.0.0.1:1\"\n";
    let variables = [("HANSARD_DATA_DIR", "variable"), ("HANSARD_REGION", "cn-variable")];
    let settings = resolve(&[(&DATA_DIR, "flag")], &variables, Some(file)).unwrap();
    assert_eq!(settings.data_dir, Path::new("flag"));
    assert_eq!(settings.region.as_str(), "cn-variable");
    assert_eq!(settings.listen.to_string(), "127.0.0.1:1");
    assert_eq!(settings.log_filter, None);
}

#[test]
fn the_server_listens_on_this_machine_unless_an_address_is_named() {
    for (text, address) in [
        ("localhost:8080", "127.0.0.1:8080"),
        (":9", "127.0.0.1:9"),
        ("[::1]:8080", "[::1]:8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
    ] {
        assert_eq!(resolve(&[(&LISTEN, text)], &[], None).unwrap().listen.to_string(), address, "{text}");
    }
    for text in ["localhost", "localhost:", ":", ":+80", ":65536", "example.com:80", "localhost:x"] {
        assert!(refusal(&[(&LISTEN, text)], &[], None).contains("it is an address and a port"), "{text}");
    }
}

#[test]
fn a_filter_is_made_of_levels_and_of_modules_with_levels() {
    for filter in [
        "warn",
        "off",
        "INFO",
        "info,api=debug",
        "nothing=debug",
        "hansard::serve=trace",
        "info,[call]=debug",
    ] {
        let settings = resolve(&[], &[("HANSARD_LOG_FILTER", filter)], None).unwrap();
        assert_eq!(settings.log_filter.as_deref(), Some(filter));
    }
}

#[test]
fn numbers_of_the_file_may_have_a_fraction_of_zero() {
    let file = "connections = 40\naddress-rate = 1000.0\nprincipal-rate = 1_0.0\n";
    let settings = resolve(&[], &[], Some(file)).unwrap();
    assert_eq!(rates(&settings.throttle), (Some((1_000, 5_000)), Some((10, 2_000))));
    assert!(refusal(&[], &[], Some("address-rate = -1.0")).contains("0 for no limit"));
}

#[test]
fn the_audit_trail_goes_to_the_data_directory_or_elsewhere_or_nowhere() {
    let folder = |flags: &[(&Key, &str)], variables: &[(&str, &str)]| {
        resolve(flags, variables, None).unwrap().audit_log
    };
    assert_eq!(folder(&[], &[]), AuditLogSetting::Default);
    assert_eq!(folder(&[], &[("HANSARD_AUDIT_LOG_DIR", "off")]), AuditLogSetting::Off);
    let elsewhere = folder(&[(&AUDIT_LOG_DIR, "/var/log/hansard")], &[("HANSARD_AUDIT_LOG_DIR", "off")]);
    assert_eq!(elsewhere, AuditLogSetting::Folder("/var/log/hansard".into()));
    assert!(refusal(&[(&AUDIT_LOG_DIR, "")], &[], None).contains("it is the path of a folder, or off"));
}

#[test]
fn audit_rows_stay_for_ever_or_for_a_number_of_days_where_they_are_exported() {
    let days = |days: &'static str| [(&AUDIT_RETENTION, days)];
    assert_eq!(resolve(&[], &[], None).unwrap().audit_retention, None);
    let kept = resolve(&days("400"), &[], None).unwrap().audit_retention;
    assert_eq!(kept, Some(Duration::from_secs(400 * 86_400)));
    assert_eq!(
        resolve(&[], &[], Some("audit-retention = 1")).unwrap().audit_retention.unwrap().as_secs(),
        86_400
    );
    for wrong in ["0", "-1", "400d", "1.5", "36501", ""] {
        let message = refusal(&days(wrong), &[], None);
        assert!(message.contains("a whole number of days from 1 to 36500"), "{wrong}: {message}");
    }
    let message = refusal(&days("400"), &[("HANSARD_AUDIT_LOG_DIR", "off")], None);
    assert!(message.contains("audit-log-dir is off"), "{message}");
}

#[test]
fn the_internal_listener_is_off_or_can_be_reached() {
    assert_eq!(resolve(&[], &[], None).unwrap().internal, None);
    let listen = |address: &'static str| [(&INTERNAL_LISTEN, address)];
    let internal = resolve(&listen("10.0.0.7:8081"), &[], None).unwrap().internal.unwrap();
    assert_eq!((internal.listen.to_string().as_str(), internal.address), ("10.0.0.7:8081", None));
    let variables = [("HANSARD_INTERNAL_ADDRESS", "http://hansard-0.internal:8081")];
    let internal = resolve(&listen("0.0.0.0:8081"), &variables, None).unwrap().internal.unwrap();
    assert_eq!(internal.address.unwrap().as_str(), "http://hansard-0.internal:8081/");
    let message = refusal(&listen("[::]:8081"), &[], None);
    assert!(message.contains("--internal-address"), "{message}");
    let message = refusal(&[], &variables, None);
    assert!(message.contains("--internal-listen"), "{message}");
    let message = refusal(&listen("10.0.0.7:1"), &[("HANSARD_INTERNAL_ADDRESS", "https://x")], None);
    assert!(message.contains("http:// with a host"), "{message}");
}

#[test]
fn an_empty_variable_is_not_set() {
    let settings = resolve(&[], &[("HANSARD_REGION", "")], Some("region = \"cn-file\"")).unwrap();
    assert_eq!(settings.region.as_str(), "cn-file");
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"region = \"cn-named\"").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let settings = Settings::resolve(&[], None, &Environment::of(&[("HANSARD_CONFIG", &path)])).unwrap();
    assert_eq!(settings.region.as_str(), "cn-named");
    let missing = refusal(&[], &[("HANSARD_CONFIG", "/nowhere/at-all.toml")], None);
    assert!(missing.contains("/nowhere/at-all.toml cannot be read"), "{missing}");
}

#[test]
fn unknown_names_are_refused_by_name() {
    let message = refusal(&[], &[("HANSARD_LISTEN_ON", "x")], None);
    assert!(message.starts_with("unknown variable HANSARD_LISTEN_ON; the variables are"), "{message}");
    let message = refusal(&[], &[], Some("region = \"cn-a\"\nregoin = \"cn-a\""));
    assert!(message.contains("line 2: unknown key \"regoin\""), "{message}");
}

#[test]
fn a_number_of_the_file_is_checked_as_one_in_quotes() {
    for number in ["-1", "1000001", "0x10"] {
        let message = refusal(&[], &[], Some(&format!("connections = {number}")));
        assert!(message.contains("line 1: connections: the value"), "{message}");
        assert!(message.contains("0 for no limit"), "{message}");
    }
    let settings = resolve(&[], &[], Some("connections = 40\nconnections-per-address = 0\n")).unwrap();
    let most = |number| ConnectionsSetting::AtMost(NonZeroUsize::new(number).unwrap());
    assert_eq!(settings.connections, most(40));
    assert_eq!(settings.connections_per_address, ConnectionsSetting::Unlimited);
}

#[test]
fn variables_of_the_client_and_the_agent_are_not_ours() {
    let others = [("HANSARD_ENDPOINT", "x"), ("HANSARD_AGENT_STATE_DIR", "/x"), ("HANSARDX", "y")];
    resolve(&[], &others, None).unwrap();
    let kubernetes = [("HANSARD_SERVICE_HOST", "10.0.0.1"), ("HANSARD_PORT", "tcp://10.0.0.1:8080")];
    resolve(&[], &kubernetes, None).unwrap();
    assert!(refusal(&[], &[("HANSARD_PORT", "8080")], None).starts_with("unknown variable HANSARD_PORT;"));
}

#[test]
fn bad_values_say_where_they_stand_and_what_is_allowed() {
    for (message, expected) in [
        (
            refusal(&[(&LISTEN, "8080")], &[], None),
            "--listen: the value \"8080\" is not allowed: it is an address and a port",
        ),
        (
            refusal(&[], &[("HANSARD_REGION", "CN")], None),
            "HANSARD_REGION: the value \"CN\" is not allowed: a region:",
        ),
        (
            refusal(&[], &[], Some("\nlog-format = \"xml\"")),
            "line 2: log-format: the value \"xml\" is not allowed",
        ),
        (refusal(&[(&PUBLIC_URL, "https://h/x")], &[], None), "--public-url: the value"),
        (refusal(&[(&PUBLIC_URL, "ftp://h")], &[], None), "it is http:// or https://"),
        (refusal(&[(&DATA_DIR, "")], &[], None), "--data-dir"),
        (refusal(&[], &[("HANSARD_WITH_LOCAL_AGENT", "yes")], None), "it must be true or false"),
        (refusal(&[], &[("HANSARD_LOCAL_INSTANCE_ID", "me")], None), "an instance id: it is 1 to 8"),
        (refusal(&[], &[("HANSARD_LOG_FILTER", "a=b=c")], None), "HANSARD_LOG_FILTER"),
        (refusal(&[], &[("HANSARD_LOG_FILTER", "verbose")], None), "verbose is no level"),
        (refusal(&[], &[("HANSARD_LOG_FILTER", "info, api")], None), "written with one: api=debug"),
        (refusal(&[], &[("HANSARD_LOG_FILTER", "api=verbose")], None), "it is a level"),
        (refusal(&[], &[("HANSARD_REGION", "oss-cn-beijing")], None), "leave oss- out, as in cn-beijing"),
        (refusal(&[(&INTERNAL_LISTEN, ":8081")], &[], None), "it is an IP address and a port"),
        (refusal(&[], &[("HANSARD_TRUSTED_PROXIES", "proxy")], None), "it is a list of addresses"),
        (refusal(&[], &[("HANSARD_TRUSTED_PROXIES", "::/0")], None), "let each caller choose"),
        (refusal(&[], &[("HANSARD_ADDRESS_RATE", "-1")], None), "0 for no limit"),
        (refusal(&[], &[("HANSARD_ADDRESS_RATE", "1000001")], None), "up to 1000000"),
        (refusal(&[], &[("HANSARD_PRINCIPAL_BURST", "0")], None), "from 1 to 1000000"),
        (refusal(&[], &[("HANSARD_PRINCIPAL_BURST", "+5")], None), "from 1 to 1000000"),
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_bad_value_is_found_behind_a_stronger_one() {
    let message = refusal(&[(&REGION, "cn-flag")], &[], Some("region = \"nowhere\""));
    assert!(message.contains("line 1: region"), "{message}");
}

#[test]
fn secrets_are_never_repeated() {
    let message = refusal(&[(&DATABASE_URL, "oracle://user:hunter2@host/x")], &[], None);
    assert!(message.contains("--database-url") && !message.contains("hunter2"), "{message}");
    let message = refusal(&[], &[("HANSARD_ROOT_ACCESS_KEY_SECRET", "hunter2")], None);
    assert!(message.contains("HANSARD_ROOT_ACCESS_KEY_SECRET") && !message.contains("hunter2"), "{message}");
    let root = [
        ("HANSARD_ROOT_ACCOUNT_ID", "1000000000000001"),
        ("HANSARD_ROOT_ACCESS_KEY_ID", "LTAIroot"),
        ("HANSARD_ROOT_ACCESS_KEY_SECRET", "hunter2hunter2"),
    ];
    let flags = [(&DATABASE_URL, "postgres://me:hunter2@localhost/x"), (&SERVER_KEYS, "keys.toml")];
    let settings = resolve(&flags, &root, None).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
}

#[test]
fn the_root_is_preset_whole_or_not_at_all() {
    let message = refusal(&[], &[("HANSARD_ROOT_ACCESS_KEY_ID", "LTAIroot")], None);
    assert!(
        message.ends_with("not set: HANSARD_ROOT_ACCOUNT_ID, HANSARD_ROOT_ACCESS_KEY_SECRET"),
        "{message}"
    );
    for (name, bad) in [
        ("HANSARD_ROOT_ACCOUNT_ID", "2000000000000001"),
        ("HANSARD_ROOT_ACCOUNT_ID", "1000000000000000"),
        ("HANSARD_ROOT_ACCESS_KEY_ID", "a b"),
        ("HANSARD_ROOT_ACCESS_KEY_SECRET", "with a space in it"),
    ] {
        assert!(refusal(&[], &[(name, bad)], None).starts_with(name));
    }
}

#[test]
fn other_databases_need_a_key_file() {
    for other in ["postgres://hansard@localhost/hansard", "mariadb://hansard@localhost/hansard"] {
        let message = refusal(&[(&DATABASE_URL, other)], &[], None);
        assert!(message.starts_with("server-keys is not set"), "{message}");
        resolve(&[(&DATABASE_URL, other)], &[("HANSARD_SERVER_KEYS", "keys.toml")], None).unwrap();
    }
}

#[test]
fn connections_are_half_of_the_open_files_and_a_quarter_of_them_for_one_address() {
    let limits = |flags: &[(&Key, &str)], files| {
        let limits = resolve(flags, &[], None).unwrap().connection_limits(files);
        (limits.total.map(|most| most.get()), limits.per_address.map(|most| most.get()))
    };
    assert_eq!(limits(&[], Some(512)), (Some(256), Some(64)));
    assert_eq!(limits(&[], Some(1_048_576)), (Some(16_384), Some(4_096)));
    assert_eq!(limits(&[], None), (Some(16_384), Some(4_096)));
    assert_eq!(limits(&[], Some(1)), (Some(1), Some(1)));
    assert_eq!(limits(&[(&CONNECTIONS, "1000")], Some(512)), (Some(1_000), Some(250)));
    assert_eq!(limits(&[(&CONNECTIONS, "0")], Some(512)), (None, Some(64)));
    assert_eq!(limits(&[(&CONNECTIONS_PER_ADDRESS, "0")], Some(512)), (Some(256), None));
    let accepted = |flags: &[(&Key, &str)], files| {
        resolve(flags, &[], None).unwrap().connection_limits(files).accepted.map(|most| most.get())
    };
    assert_eq!((accepted(&[], Some(512)), accepted(&[], None)), (Some(384), None));
    assert_eq!(accepted(&[(&CONNECTIONS, "800")], Some(512)), Some(900));
    assert_eq!(limits(&[(&CONNECTIONS_PER_ADDRESS, "7")], Some(512)), (Some(256), Some(7)));
    for text in ["-1", "many", "", "1000001"] {
        assert!(refusal(&[(&CONNECTIONS, text)], &[], None).contains("0 for no limit"), "{text}");
    }
}

//! Bad settings: exit code 2 and one line that names what is wrong, before anything is created.

use crate::deployment::{hansard, stderr};

#[test]
fn invalid_settings_are_named_and_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = folder.path().join("hansard.toml");
    let serve = |arguments: &[&str], variables: &[(&str, &str)], file: Option<&str>| {
        let mut command = hansard(&["serve", "--data-dir"]);
        command.arg(&data).args(arguments).envs(variables.iter().copied());
        if let Some(file) = file {
            std::fs::write(&config, file).unwrap();
            command.arg("--config").arg(&config);
        }
        command.output().unwrap()
    };
    let postgres = "postgres://me:hunter2@localhost/x";
    for (arguments, variables, file, expected) in [
        (&["--listen", "8080"][..], &[][..], None, "--listen: the value \"8080\""),
        (&["--nonsense"][..], &[][..], None, "--nonsense"),
        (&[][..], &[("HANSARD_LISTN", "x")][..], None, "unknown variable HANSARD_LISTN"),
        (&[][..], &[("HANSARD_REGION", "x")][..], None, "HANSARD_REGION: the value \"x\""),
        (&[][..], &[][..], Some("\nlistn = \"x\""), "hansard.toml line 2: unknown key \"listn\""),
        (&[][..], &[][..], Some("public-url = \"x\""), "hansard.toml line 1: public-url: the value \"x\""),
        (&[][..], &[][..], Some("region = "), "hansard.toml line 1: "),
        (&["--config", "/nowhere/x.toml"][..], &[][..], None, "/nowhere/x.toml cannot be read"),
        (&[][..], &[("HANSARD_ROOT_ACCOUNT_ID", "1000000000000001")][..], None, "HANSARD_ROOT_ACCESS_KEY_ID"),
        (&["--database-url", "oracle://me:hunter2@h/x"][..], &[][..], None, "--database-url"),
        (&["--database-url", postgres][..], &[][..], None, "server-keys is not set"),
        (
            &["--with-local-agent", "--local-agent-program", "/nowhere/agent"][..],
            &[][..],
            None,
            "/nowhere/agent",
        ),
        // The key file is only read once the data directory exists.
        (
            &["--database-url", postgres, "--server-keys", "/nowhere/k"][..],
            &[][..],
            None,
            "no server keys at /nowhere/k",
        ),
    ] {
        let output = serve(arguments, variables, file);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{expected}: {said}");
        assert!(said.starts_with("error: ") && said.contains(expected), "{expected}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        assert!(!data.exists(), "nothing is left behind: {expected}");
    }
}

#[test]
fn a_client_without_keys_says_which_are_missing() {
    let output = hansard(&["recordings", "ls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("error: ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        "{}",
        stderr(&output)
    );
    let output = hansard(&["recordings", "ls"])
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "a")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "b")
        .env("HANSARD_ENDPOINT", "nonsense")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("HANSARD_ENDPOINT \"nonsense\" is not allowed"), "{}", stderr(&output));
}

#[test]
fn administration_does_not_create_a_deployment() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = hansard(&["admin", "user", "list", "--data-dir"]).arg(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no data directory"), "{}", stderr(&output));
    assert!(!data.exists());
    std::fs::write(&data, "").unwrap();
    for command in
        [&["admin", "user", "list", "--data-dir"][..], &["serve", "--listen=127.0.0.1:0", "--data-dir"]]
    {
        let output = hansard(command).arg(&data).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("/data is no folder"), "{}", stderr(&output));
    }
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    let output = hansard(&["admin", "user", "list", "--data-dir"]).arg(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there are no server keys"), "{}", stderr(&output));
}

//! `hansard audit verify`: every chain computed again, held against the signed anchors and the exported files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Timestamp;
use domain::server_keys::ServerKeys;
use persistence::{AuditFault, AuditFinding, AuditVerdict, AuditVerification, CheckedFiles};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::arguments::{AuditVerifyArguments, Output};
use crate::deployment::{DataDirectory, connect, server_keys, server_keys_path};
use crate::environment::Environment;
use crate::failure::{Failure, chain, exit_code};
use crate::settings::Settings;
use crate::table::Table;
use crate::{private_file, terminal};

/// What was checked.
struct Checked {
    /// The exported files.
    files: Option<CheckedFiles>,
    /// The database, held against the files.
    database: Option<AuditVerification>,
    /// Whether signatures could be checked.
    has_keys: bool,
}

/// Runs the command and gives its exit code.
///
/// # Errors
/// The files or the database cannot be read.
pub(crate) fn run(
    arguments: &AuditVerifyArguments,
    output: Output,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<u8, Failure> {
    let settings = Settings::resolve(&arguments.flags(), arguments.store.config(), environment)?;
    let checked = if arguments.file.is_empty() {
        runtime.block_on(check_deployment(&settings))?
    } else {
        let keys = keys_at_hand(&settings)?;
        let files = read_files(&arguments.file, keys.as_ref())?;
        Checked { files: Some(files), database: None, has_keys: keys.is_some() }
    };
    match output {
        Output::Json => terminal::print_json(&as_json(&checked))?,
        Output::Table => terminal::print(&as_text(&checked))?,
    }
    Ok(exit_code_of(checked.verdict()))
}

/// The files first: whatever stands in them was committed before.
async fn check_deployment(settings: &Settings) -> Result<Checked, Failure> {
    let data = DataDirectory::open(settings)?;
    let keys = Arc::new(server_keys(settings, &data, false)?);
    let exported = match data.audit_log(settings) {
        Some(folder) if folder.is_dir() => exported_files(&folder)?,
        _ => Vec::new(),
    };
    let files = if exported.is_empty() { None } else { Some(read_files(&exported, Some(&keys))?) };
    let store = connect(settings, &data, &keys).await?;
    let database = store.verify_audit(files.as_ref()).await;
    let database = database.map_err(|error| Failure::failed(chain(&error)))?;
    Ok(Checked { files, database: Some(database), has_keys: true })
}

fn read_files(files: &[PathBuf], keys: Option<&ServerKeys>) -> Result<CheckedFiles, Failure> {
    CheckedFiles::read(files, keys)
        .map_err(|error| Failure::failed(format!("an exported file cannot be read: {error}")))
}

fn exported_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::failed(format!("the folder {} cannot be read: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("events-") && name.ends_with(".log") {
            files.push(path);
        }
    }
    Ok(files)
}

/// An auditor on another machine has none.
fn keys_at_hand(settings: &Settings) -> Result<Option<ServerKeys>, Failure> {
    let path = match DataDirectory::open(settings) {
        Ok(data) => server_keys_path(settings, &data),
        Err(_) => match &settings.server_keys {
            Some(path) => path.clone(),
            None => return Ok(None),
        },
    };
    let text = private_file::find(&path, "server keys")?;
    let keys = text.map(|text| ServerKeys::parse(&text)).transpose();
    keys.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

impl Checked {
    fn parts(&self) -> impl Iterator<Item = (&'static str, &AuditVerification)> {
        let files = self.files.as_ref().map(|files| ("files", &files.verification));
        files.into_iter().chain(self.database.as_ref().map(|database| ("database", database)))
    }

    fn verdict(&self) -> AuditVerdict {
        self.parts().map(|(_, part)| part.verdict()).max().unwrap_or(AuditVerdict::Whole)
    }
}

fn exit_code_of(verdict: AuditVerdict) -> u8 {
    match verdict {
        AuditVerdict::Whole => 0,
        AuditVerdict::Unanchored => exit_code::PROVEN_PREFIX,
        AuditVerdict::Inconsistent => exit_code::INCONSISTENT,
    }
}

fn word(verdict: AuditVerdict) -> &'static str {
    match verdict {
        AuditVerdict::Whole => "whole",
        AuditVerdict::Unanchored => "unanchored",
        AuditVerdict::Inconsistent => "inconsistent",
    }
}

fn as_text(checked: &Checked) -> String {
    let mut text = String::new();
    for (what, part) in checked.parts() {
        let place = |place: Option<(u64, Timestamp)>| match place {
            Some((number, at)) => format!("{number} at {at}"),
            None => "-".to_owned(),
        };
        let mut table = Table::new(&["WRITER", "ROWS", "FIRST", "LAST", "ANCHORED TO", "VERDICT"]);
        for writer in &part.writers {
            table.row([
                writer.writer_id.clone(),
                writer.rows.to_string(),
                place(writer.first),
                place(writer.last),
                writer.anchored.to_string(),
                word(writer.verdict).to_owned(),
            ]);
        }
        text.push_str(&format!("In the {what}:\n{}", table.to_text()));
        for AuditFinding { writer_id, why, .. } in &part.findings {
            let why = recording::sanitise::sanitised(why);
            match writer_id {
                Some(writer) => {
                    text.push_str(&format!("! writer {}: {why}\n", recording::sanitise::sanitised(writer)));
                }
                None => text.push_str(&format!("! {why}\n")),
            }
        }
        if part.findings_left_off > 0 {
            text.push_str(&format!("! and {} more\n", part.findings_left_off));
        }
        text.push_str(&signatures(part, checked.has_keys));
        text.push('\n');
    }
    match (&checked.files, &checked.database) {
        (Some(files), _) if files.torn => {
            text.push_str("The last line of the files is not whole; it is being written.\n");
        }
        (None, _) => text.push_str("No exported files to hold the database against.\n"),
        _ => {}
    }
    text.push_str(&format!("Verdict: {}\n", word(checked.verdict())));
    text
}

fn signatures(part: &AuditVerification, has_keys: bool) -> String {
    match (part.anchors, part.unknown_signatures) {
        (0, _) => "No anchors.\n".to_owned(),
        (anchors, 0) => format!("{anchors} anchors, all signed by this deployment.\n"),
        (anchors, _) if !has_keys => {
            format!("{anchors} anchors; their signatures were not checked, for no server keys are at hand.\n")
        }
        (anchors, unknown) => {
            format!("{anchors} anchors; {unknown} are signed with keys that are not among the server keys.\n")
        }
    }
}

fn as_json(checked: &Checked) -> Value {
    let mut result = json!({
        "Verdict": word(checked.verdict()),
        "ExitCode": exit_code_of(checked.verdict()),
        "SignaturesChecked": checked.has_keys,
    });
    for (what, part) in checked.parts() {
        let name = if what == "files" { "Files" } else { "Database" };
        result[name] = part_as_json(part);
    }
    if let Some(files) = &checked.files {
        result["Files"]["LastLineIsWhole"] = json!(!files.torn);
    }
    result
}

fn part_as_json(part: &AuditVerification) -> Value {
    let place = |place: Option<(u64, Timestamp)>| {
        place.map(|(number, at)| json!({ "Sequence": number, "EventTime": at.to_rfc3339_millis() }))
    };
    let writers: Vec<_> = part
        .writers
        .iter()
        .map(|writer| {
            json!({
                "WriterId": writer.writer_id,
                "Rows": writer.rows,
                "First": place(writer.first),
                "Last": place(writer.last),
                "AnchoredTo": writer.anchored,
                "Verdict": word(writer.verdict),
            })
        })
        .collect();
    let findings: Vec<_> = part
        .findings
        .iter()
        .map(|finding| {
            let through = match finding.fault {
                AuditFault::Missing { through } | AuditFault::TailMissing { through } => Some(through),
                _ => None,
            };
            json!({
                "WriterId": finding.writer_id,
                "Fault": finding.fault.as_str(),
                "Number": finding.number,
                "Through": through,
                "Why": finding.why,
            })
        })
        .collect();
    json!({
        "Verdict": word(part.verdict()),
        "Writers": writers,
        "Findings": findings,
        "FindingsLeftOff": part.findings_left_off,
        "Anchors": part.anchors,
        "UnknownSignatures": part.unknown_signatures,
    })
}

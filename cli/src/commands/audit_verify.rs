//! `hansard audit verify`: computes every chain again, and compares it with the signed anchors and the exported files.

use std::path::Path;
use std::sync::Arc;

use domain::Timestamp;
use domain::server_keys::ServerKeys;
use persistence::{
    AuditFinding, AuditFolder, AuditVerdict, AuditVerification, CheckedFiles, HeldAgainst, KeptAnchors,
    PutAway,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::arguments::{AuditVerifyArguments, Output};
use crate::deployment::{DataDirectory, connect_existing, database_url, server_keys, server_keys_path};
use crate::environment::Environment;
use crate::failure::{Failure, chain, exit_code};
use crate::settings::Settings;
use crate::table::Table;
use crate::{private_file, terminal};

/// What was checked.
struct Checked {
    /// The exported files.
    files: Option<CheckedFiles>,
    /// The database, compared with the files.
    database: Option<AuditVerification>,
    /// Anchors that were kept elsewhere.
    anchors: Option<KeptAnchors>,
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
    let anchors = arguments.anchors.as_deref().map(read_anchors).transpose()?;
    let checked = if arguments.file.is_empty() {
        runtime.block_on(check_deployment(&settings, arguments, anchors))?
    } else {
        let keys = keys_at_hand(&settings)?;
        let files = AuditFolder::of_files(&arguments.file);
        let files = CheckedFiles::read(&files, &arguments.archived, anchors.as_ref(), keys.as_ref());
        let checked = Checked {
            files: Some(files.map_err(cannot_read)?),
            database: None,
            anchors,
            has_keys: keys.is_some(),
        };
        if checked.is_nothing() {
            return Err(Failure::failed("nothing to verify: there is no audit row in these files"));
        }
        checked
    };
    match output {
        Output::Json => terminal::print_json(&as_json(&checked))?,
        Output::Table => terminal::print(&as_text(&checked))?,
    }
    Ok(exit_code_of(checked.verdict()))
}

/// Reads first what the database says about the files, then the files, then the database. So everything that the
/// database names must be in the files, and everything in the files was committed before.
async fn check_deployment(
    settings: &Settings,
    arguments: &AuditVerifyArguments,
    anchors: Option<KeptAnchors>,
) -> Result<Checked, Failure> {
    let failed = |error: persistence::StoreError| Failure::failed(chain(&error));
    let data = DataDirectory::open(settings)?;
    let keys = Arc::new(server_keys(settings, &data, false)?);
    let store = connect_existing(settings, &data, &keys).await?;
    let (mut files, mut exports) = (None, None);
    if let Some(folder) = data.audit_log(settings) {
        exports = Some(store.audit_exports().await.map_err(failed)?);
        let folder = AuditFolder::look(&folder).map_err(cannot_read)?;
        let read = CheckedFiles::read(&folder, &arguments.archived, None, Some(&keys));
        files = Some(read.map_err(cannot_read)?);
    }
    let put_away = PutAway { archived: &arguments.archived, elsewhere: &arguments.elsewhere };
    let against =
        HeldAgainst { files: files.as_ref(), exports: exports.as_ref(), put_away, anchors: anchors.as_ref() };
    let database = store.verify_audit(against).await.map_err(failed)?;
    let checked = Checked { files, database: Some(database), anchors, has_keys: true };
    if checked.is_nothing() {
        let url = database_url(settings, &data);
        return Err(Failure::failed(format!(
            "nothing to verify: the database {url:?} has no audit row, and nothing is exported; is it the right one?"
        )));
    }
    Ok(checked)
}

fn cannot_read(error: std::io::Error) -> Failure {
    Failure::failed(format!("an exported file cannot be read: {error}"))
}

fn read_anchors(file: &Path) -> Result<KeptAnchors, Failure> {
    let anchors = KeptAnchors::read(file)
        .map_err(|error| Failure::failed(format!("the anchors cannot be read: {error}")))?;
    match anchors.count() {
        // An empty file would prove nothing, and nobody would notice.
        0 => Err(Failure::failed(format!("there is no anchor in {}", file.display()))),
        _ => Ok(anchors),
    }
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

    /// Whether there is no chain at all and none is missing: that agrees with everything and proves nothing.
    fn is_nothing(&self) -> bool {
        self.parts().all(|(_, part)| {
            let rows = part.writers.iter().any(|writer| writer.rows > 0 || writer.pruned > 0);
            !rows && part.findings.is_empty() && part.findings_left_off == 0
        })
    }

    fn verdict(&self) -> AuditVerdict {
        self.parts().map(|(_, part)| part.verdict()).max().unwrap_or(AuditVerdict::Whole)
    }
}

fn exit_code_of(verdict: AuditVerdict) -> u8 {
    match verdict {
        AuditVerdict::Whole => 0,
        AuditVerdict::Incomplete | AuditVerdict::Unanchored => exit_code::PROVEN_PREFIX,
        AuditVerdict::Inconsistent => exit_code::INCONSISTENT,
    }
}

fn word(verdict: AuditVerdict) -> &'static str {
    match verdict {
        AuditVerdict::Whole => "whole",
        AuditVerdict::Incomplete => "incomplete",
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
        let mut table =
            Table::new(&["WRITER", "ROWS", "FIRST", "LAST", "PRUNED TO", "ANCHORED TO", "VERDICT"]);
        for writer in &part.writers {
            table.row([
                writer.writer_id.clone(),
                writer.rows.to_string(),
                place(writer.first),
                place(writer.last),
                if writer.pruned > 0 { writer.pruned.to_string() } else { "-".to_owned() },
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
            text.push_str("The last line of the files is incomplete; it is being written.\n");
        }
        (None, _) => text.push_str("No exported files to compare the database with.\n"),
        _ => {}
    }
    if let Some(anchors) = &checked.anchors {
        text.push_str(&format!("Compared with {} anchors that were kept elsewhere.\n", anchors.count()));
        if anchors.torn() > 0 {
            text.push_str(&format!(
                "{} lines of their file are incomplete, and were skipped.\n",
                anchors.torn()
            ));
        }
    }
    text.push_str(&format!("Verdict: {}\n", word(checked.verdict())));
    text
}

fn signatures(part: &AuditVerification, has_keys: bool) -> String {
    match (part.anchors, part.unknown_signatures) {
        (0, _) => "No anchors.\n".to_owned(),
        (anchors, 0) => format!("{anchors} anchors, all signed by this deployment.\n"),
        (anchors, _) if !has_keys => {
            format!(
                "{anchors} anchors; their signatures were not checked, because the server keys are not available.\n"
            )
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
    if let Some(anchors) = &checked.anchors {
        result["KeptAnchors"] = json!({ "Anchors": anchors.count(), "TornLines": anchors.torn() });
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
                "PrunedTo": writer.pruned,
                "AnchoredTo": writer.anchored,
                "Verdict": word(writer.verdict),
            })
        })
        .collect();
    let findings: Vec<_> = part
        .findings
        .iter()
        .map(|finding| {
            json!({
                "WriterId": finding.writer_id,
                "Fault": finding.fault.as_str(),
                "Number": finding.number,
                "Through": finding.fault.through(),
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

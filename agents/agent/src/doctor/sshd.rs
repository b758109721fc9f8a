//! What sshd does, as it says itself (`sshd -T`), and where its configuration says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::patterns;

const PROGRAMS: [&str; 4] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd"];
const CONFIGURATION: &str = "/etc/ssh/sshd_config";
/// Files that include each other are followed no deeper; sshd itself goes to 16.
const DEEPEST_INCLUDE: usize = 16;
/// How an account comes in, if no Match block asks for another way.
const FROM_HERE: &str = "127.0.0.1";

/// An sshd and its configuration.
#[derive(Debug)]
pub(crate) struct Sshd {
    program: PathBuf,
    /// As it was named; otherwise sshd finds its own.
    named: Option<PathBuf>,
    lines: Vec<Line>,
    files: Vec<PathBuf>,
}

/// A line that sets something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    file: PathBuf,
    number: usize,
    /// In small letters.
    keyword: String,
    arguments: String,
}

/// What holds for one account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Effective {
    values: BTreeMap<String, Vec<String>>,
}

impl Effective {
    pub(super) fn parse(printed: &str) -> Effective {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in printed.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            values.entry(keyword.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        Effective { values }
    }

    /// The value of an option that has one; empty if this sshd does not know the option.
    pub(crate) fn value(&self, keyword: &str) -> &str {
        self.all(keyword).first().map_or("", String::as_str)
    }

    /// The values of an option that may be given several times.
    pub(crate) fn all(&self, keyword: &str) -> &[String] {
        self.values.get(keyword).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn is(&self, keyword: &str, value: &str) -> bool {
        self.value(keyword).eq_ignore_ascii_case(value)
    }
}

impl Sshd {
    /// The sshd of this instance; `None` if there is none.
    ///
    /// # Errors
    /// Its configuration cannot be read.
    pub(crate) fn find(configuration: Option<&Path>) -> Result<Option<Sshd>, String> {
        let Some(program) = PROGRAMS.into_iter().map(PathBuf::from).find(|program| program.exists()) else {
            return Ok(None);
        };
        let mut sshd =
            Sshd { program, named: configuration.map(Path::to_owned), lines: Vec::new(), files: Vec::new() };
        sshd.read(configuration.unwrap_or(Path::new(CONFIGURATION)), 0)?;
        Ok(Some(sshd))
    }

    fn read(&mut self, file: &Path, depth: usize) -> Result<(), String> {
        if depth > DEEPEST_INCLUDE {
            return Err(format!("{} is included by too many files", file.display()));
        }
        let text = fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        self.files.push(file.to_owned());
        for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let end = line.find(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or(line.len());
            let keyword = line[..end].to_ascii_lowercase();
            let arguments =
                line[end..].trim_start_matches(|letter: char| letter.is_whitespace() || letter == '=');
            if keyword == "include" {
                for pattern in arguments.split_whitespace() {
                    for included in included_by(pattern.trim_matches('"')) {
                        self.read(&included, depth + 1)?;
                    }
                }
                continue;
            }
            let arguments = arguments.to_owned();
            self.lines.push(Line { file: file.to_owned(), number: number + 1, keyword, arguments });
        }
        Ok(())
    }

    /// The files of its configuration.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether accounts are told apart.
    pub(crate) fn has_matches(&self) -> bool {
        self.lines.iter().any(|line| line.keyword == "match")
    }

    /// Match blocks that ask for what cannot be tried out here.
    pub(crate) fn matches_of_other_kinds(&self) -> impl Iterator<Item = String> {
        let of_other_kind = |line: &&Line| {
            let words = line.arguments.to_ascii_lowercase();
            let known = |word: &str| matches!(word, "user" | "group" | "all" | "address");
            let mut criteria = words.split_whitespace().step_by(2);
            line.keyword == "match"
                && (!criteria.all(known) || addresses_in(&line.arguments).any(|address| address.is_none()))
        };
        self.lines.iter().filter(of_other_kind).map(Line::place)
    }

    /// The addresses from which something else may hold.
    fn addresses(&self) -> Vec<String> {
        let mut addresses = vec![FROM_HERE.to_owned()];
        for line in self.lines.iter().filter(|line| line.keyword == "match") {
            for address in addresses_in(&line.arguments).flatten() {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        addresses
    }

    /// What holds for an account, once for each address that its configuration tells apart.
    ///
    /// # Errors
    /// sshd does not say it.
    pub(crate) fn effective_for(&self, account: &str) -> Result<Vec<Effective>, String> {
        if !account.chars().all(|letter| letter.is_ascii_graphic() && letter != ',' && letter != '=') {
            return Err(format!("sshd cannot be asked about an account named {account:?}"));
        }
        let of_address = |address: String| {
            let connection = format!("user={account},host={address},addr={address},laddr={address},lport=22");
            self.ask(&["-C", &connection])
        };
        self.addresses().into_iter().map(of_address).collect()
    }

    /// What holds for everybody, where accounts are not told apart.
    ///
    /// # Errors
    /// sshd does not say it.
    pub(crate) fn effective(&self) -> Result<Effective, String> {
        self.ask(&[])
    }

    fn ask(&self, arguments: &[&str]) -> Result<Effective, String> {
        let mut command = Command::new(&self.program);
        command.arg("-T");
        if let Some(file) = &self.named {
            command.arg("-f").arg(file);
        }
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} -T says: {}", self.program.display(), said.trim()));
        }
        Ok(Effective::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Where an option has its value: the line that says so, or that nothing does.
    pub(crate) fn place(&self, keyword: &str, value: &str) -> String {
        let of_keyword = || self.lines.iter().filter(|line| line.keyword == keyword);
        let same = |line: &&Line| {
            line.arguments.trim_matches('"').eq_ignore_ascii_case(value)
                || line.arguments.split_whitespace().any(|word| word == value)
        };
        match of_keyword().find(same).or_else(|| of_keyword().next()) {
            Some(line) => line.place(),
            None => format!("{keyword} {value}, which is sshd's default"),
        }
    }
}

impl Line {
    fn place(&self) -> String {
        format!("{}:{}: {} {}", self.file.display(), self.number, self.keyword, self.arguments)
    }
}

/// One address for each pattern that a Match names; `None` for a pattern for which none is known.
fn addresses_in(arguments: &str) -> impl Iterator<Item = Option<String>> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let lists = words.chunks(2).filter_map(|pair| match pair {
        [criterion, list] if criterion.eq_ignore_ascii_case("address") => Some(*list),
        _ => None,
    });
    let patterns = lists.flat_map(|list| list.split(',')).map(|pattern| pattern.trim_start_matches('!'));
    patterns.map(address_like).collect::<Vec<_>>().into_iter()
}

fn address_like(pattern: &str) -> Option<String> {
    let mut address = pattern.split('/').next()?.replace(['*', '?'], "1");
    // A star also stands for the rest of an address: 10.* is 10.1.1.1.
    while pattern.ends_with('*') && !address.contains(':') && address.matches('.').count() < 3 {
        address.push_str(".1");
    }
    address.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
}

/// The files that a pattern of an Include names, in sshd's order.
fn included_by(pattern: &str) -> Vec<PathBuf> {
    let pattern = Path::new("/etc/ssh").join(pattern);
    let mut found = vec![PathBuf::from("/")];
    for step in pattern.components().skip(1) {
        let step = step.as_os_str().to_string_lossy().into_owned();
        found = found
            .into_iter()
            .flat_map(|folder| {
                if !step.contains(['*', '?']) {
                    return vec![folder.join(&step)];
                }
                let names = fs::read_dir(&folder).into_iter().flatten().flatten();
                let mut names: Vec<String> =
                    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
                names.retain(|name| patterns::matches(&step, name) && !name.starts_with('.'));
                names.sort();
                names.into_iter().map(|name| folder.join(name)).collect()
            })
            .collect();
    }
    // A name without a pattern may be missing, too.
    found.retain(|file| file.is_file());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_one_or_several_values() {
        let effective =
            Effective::parse("permituserrc yes\nacceptenv LANG\nacceptenv LC_*\nsubsystem sftp a b\n");
        assert!(effective.is("permituserrc", "YES"));
        assert_eq!(effective.all("acceptenv"), ["LANG", "LC_*"]);
        assert_eq!(effective.value("subsystem"), "sftp a b");
        assert_eq!(effective.value("unknown"), "");
    }

    #[test]
    fn a_pattern_has_an_address_like_it() {
        for (pattern, address) in [
            ("10.0.0.0/8", Some("10.0.0.0")),
            ("10.*", Some("10.1.1.1")),
            ("192.168.?.7", Some("192.168.1.7")),
            ("*", Some("1.1.1.1")),
            ("2001:db8::/32", Some("2001:db8::")),
            ("fe80::*", Some("fe80::1")),
            ("*:1*:example", None),
        ] {
            assert_eq!(address_like(pattern).as_deref(), address, "{pattern}");
        }
    }

    #[test]
    fn lines_are_found_in_included_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("more")).unwrap();
        fs::write(at("more/b.conf"), "PermitUserRC=yes\n").unwrap();
        fs::write(at("more/a.conf"), "# nothing\n\nMatch Address 10.0.0.0/8,!192.168.?.*  User ana\n")
            .unwrap();
        fs::write(at("more/c.conf~"), "nothing").unwrap();
        let include =
            format!("Include {}\nX11Forwarding  yes\nMatch LocalPort 23\n", at("more/*.conf").display());
        fs::write(at("main"), include).unwrap();
        let program = PathBuf::from("/usr/sbin/sshd");
        let mut sshd = Sshd { program, named: None, lines: Vec::new(), files: Vec::new() };
        sshd.read(&at("main"), 0).unwrap();
        assert_eq!(sshd.files().len(), 3);
        assert!(sshd.place("permituserrc", "yes").ends_with("b.conf:1: permituserrc yes"));
        assert!(sshd.place("x11forwarding", "yes").ends_with("main:2: x11forwarding yes"));
        assert_eq!(sshd.place("permittty", "yes"), "permittty yes, which is sshd's default");
        assert_eq!(sshd.addresses(), ["127.0.0.1", "10.0.0.0", "192.168.1.1"]);
        assert_eq!(sshd.matches_of_other_kinds().count(), 1);

        fs::write(at("main"), format!("Include {}\n", at("main").display())).unwrap();
        assert!(sshd.read(&at("main"), 0).unwrap_err().contains("too many"));
    }
}

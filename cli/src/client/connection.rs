//! Why no reply came, in one plain sentence.

use std::error::Error;
use std::io;
use std::iter::successors;

/// What went wrong on the way to a server or back.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { "it did not reply in time".to_owned() } else { cause_of(error) }
}

fn cause_of(error: &(dyn Error + 'static)) -> String {
    let causes = || successors(Some(error), |error| (*error).source());
    if causes().any(|error| error.to_string().starts_with("dns error")) {
        return "its name is unknown here".to_owned();
    }
    for error in causes().filter_map(|error| error.downcast_ref::<io::Error>()) {
        if let Some(said) =
            tls_error(error).and_then(about_tls).or_else(|| about_io(error.kind()).map(str::to_owned))
        {
            return said;
        }
    }
    let innermost = causes().last().unwrap_or(error).to_string();
    if innermost.starts_with("invalid HTTP") {
        return "its reply is not HTTP, perhaps because it wants https://".to_owned();
    }
    if innermost.starts_with("connection closed") {
        return CLOSED.to_owned();
    }
    without_number(&innermost).to_owned()
}

const CLOSED: &str = "it closed the connection without a reply";

const NO_TLS: &str = "it does not speak TLS, perhaps because it wants http://";

/// The error of TLS in one of the system's kind, which the layers between wrap in another such.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| tls_error(inner.downcast_ref::<io::Error>()?))
}

fn about_io(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "nothing listens there",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => CLOSED,
        io::ErrorKind::TimedOut => "it did not reply in time",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "this machine has no network path to it"
        }
        _ => return None,
    })
}

fn about_tls(error: &rustls::Error) -> Option<String> {
    match error {
        rustls::Error::InvalidMessage(_) => Some(NO_TLS.to_owned()),
        rustls::Error::InvalidCertificate(why) => Some(format!("its certificate is not accepted: {why}")),
        _ => None,
    }
}

/// A message of the system without the number of its error, which tells a person nothing.
fn without_number(message: &str) -> &str {
    message.split(" (os error").next().unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    impl std::fmt::Display for Outer {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str(self.text)
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.source)
        }
    }

    #[test]
    fn causes_are_plain_sentences_without_numbers() {
        let of = |source| cause_of(&Outer { text: "error trying to connect", source });
        assert_eq!(of(io::Error::from_raw_os_error(111)), "nothing listens there");
        assert_eq!(of(io::Error::from_raw_os_error(104)), CLOSED);
        assert_eq!(of(io::Error::from_raw_os_error(113)), "this machine has no network path to it");
        assert_eq!(of(io::Error::from_raw_os_error(24)), "Too many open files");
        let tls_in = |error: io::Error| of(io::Error::other(error));
        let tls = |error| of(io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(tls(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)), NO_TLS);
        let corrupt = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(tls_in(io::Error::new(io::ErrorKind::InvalidData, corrupt)), NO_TLS);
        let expired = tls(rustls::Error::InvalidCertificate(rustls::CertificateError::Expired));
        assert!(expired.starts_with("its certificate is not accepted: "), "{expired}");
        let unknown = Outer { text: "dns error", source: io::Error::other("failed to lookup address") };
        assert_eq!(cause_of(&unknown), "its name is unknown here");
    }
}

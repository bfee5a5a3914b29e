//! The address of a resource, as far as this client needs it: plain HTTP, no user, no fragment.

use std::str::FromStr;

use crate::manner::Manner;

/// A parsed `http://HOST[:PORT]/PATH`.
#[derive(Clone)]
pub(crate) struct Url {
    /// Host and port, for the connection.
    pub(crate) address: String,
    host: String,
    /// Path and query.
    target: String,
}

impl Url {
    /// A request as it is sent; with an id, that is added to its query. Where it has a body, this is its head.
    pub(crate) fn request(&self, id: Option<u64>, manner: &Manner) -> String {
        let Self { host, target, .. } = self;
        let query = id.map_or_else(String::new, |id| {
            let joint = if target.contains('?') { '&' } else { '?' };
            format!("{joint}id={id}")
        });
        let expect = if manner.expect_continue {
            "Expect: 100-continue\r\n"
        } else {
            ""
        };
        match manner.body_bytes {
            0 => format!("GET {target}{query} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            bytes => format!(
                "POST {target}{query} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {bytes}\r\n{expect}\r\n"
            ),
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("it must begin with http://")?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it must be plain ASCII without spaces; write %20 for a space".to_owned());
        }
        let end_of_host = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end_of_host);
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        // The last colon of [::1] stands before a bracket and not before a port.
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']'));
        Ok(Self {
            address: if has_port {
                host.to_owned()
            } else {
                format!("{host}:80")
            },
            host: host.to_owned(),
            target: format!("{slash}{target}"),
        })
    }
}

//! What connections speak.

/// What a connection speaks. In the order in which protocols are recognized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.x in clear: one turn is one request.
    Http1,
    /// HTTP/2 in clear (gRPC too): requests share the connection, so a turn is none of them.
    Http2,
    /// TLS, whatever it carries: a turn may be a part of a handshake.
    Tls,
    /// Anything else, such as Redis or PostgreSQL, and what came without bytes that were seen.
    #[default]
    Other,
}

impl Protocol {
    /// Every protocol, in their order.
    pub const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Tls, Self::Other];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
            Self::Tls => "tls",
            Self::Other => "other",
        }
    }
}

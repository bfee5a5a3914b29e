//! Whose code a function is, by its readable name.

use crate::runtime::tokio::names as tokio;

/// Whose code a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// The language's own libraries and what they stand on: says how something is done, not what.
    Standard,
    /// The runtime or framework that calls the program's code.
    Framework,
    /// The program, or a library that it uses.
    Program,
}

/// Crates of Rust's standard library, what it is made of, and small ones that stand in for it.
const STANDARD_CRATES: &[&str] = &[
    "std",
    "core",
    "alloc",
    "__rustc",
    "compiler_builtins",
    "hashbrown",
    "memchr",
    "panic_unwind",
    "itoa",
    "ryu",
    "zmij",
    "bytes",
    "smallvec",
    "indexmap",
    "serde",
    "serde_core",
    "libc",
    "rustix",
];

/// Types of the language. Only its own libraries can give them methods that belong to no trait.
const PRIMITIVE_TYPES: &[&str] = &[
    "bool", "char", "str", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
    "usize", "f16", "f32", "f64", "f128",
];

/// Servers and middleware, beside the runtime's own crates. A name that ends with `_` stands for all crates that begin
/// with it.
const FRAMEWORK_CRATES: &[&str] = &[
    "hyper",
    "hyper_",
    "h2",
    "http",
    "http_body",
    "http_body_",
    "httparse",
    "httpdate",
    "axum",
    "axum_",
    "matchit",
    "tower",
    "tower_",
    "actix_",
    "futures",
    "futures_",
    "pin_project",
    "pin_project_lite",
    "async_",
    "smol",
    "polling",
    "warp",
    "rocket",
    "poem",
    "tonic",
    "tracing",
    "tracing_",
    "log",
    "rayon_core",
    "crossbeam_",
    "parking_lot",
    "parking_lot_core",
    "lock_api",
];

/// Packages of Go's standard library that say how something is done, and below which all others are.
const STANDARD_PACKAGES: &[&str] = &[
    "runtime", "internal", "syscall", "sync", "bufio", "io", "os", "bytes", "strings", "strconv", "reflect",
    "sort", "slices", "maps", "time", "context", "errors", "unicode", "math", "hash",
];

/// Packages of Go that call the program's code.
const FRAMEWORK_PACKAGES: &[&str] = &[
    "net",
    "crypto/tls",
    "github.com/gin-gonic/gin",
    "github.com/labstack/echo",
    "github.com/go-chi/chi",
    "github.com/gofiber/fiber",
    "github.com/valyala/fasthttp",
];

/// Beginnings of C symbols of allocators, of the language's start-up, and of what compilers put in.
const STANDARD_SYMBOLS: &[&str] = &[
    "__", "_start", "_Unwind", "_rjem_", "je_", "_mi_", "mi_", "rust_", "memcpy", "memmove", "memset",
    "memcmp", "memchr", "malloc", "calloc", "realloc", "free", "bcmp", "strlen",
];

/// Whose code a function of this readable name is.
pub(super) fn layer(name: &str) -> Layer {
    if name.contains("::") {
        let own = origin(name);
        return if STANDARD_CRATES.contains(&own) || is_primitive(own) {
            Layer::Standard
        } else if tokio::CRATES
            .iter()
            .chain(FRAMEWORK_CRATES)
            .any(|known| is_crate(own, known))
        {
            Layer::Framework
        } else {
            Layer::Program
        };
    }
    if name.contains('.') {
        let own = origin(name);
        let below = |known: &&&str| {
            own.strip_prefix(**known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        return if STANDARD_PACKAGES.iter().any(|known| below(&known)) {
            Layer::Standard
        } else if FRAMEWORK_PACKAGES.iter().any(|known| below(&known)) {
            Layer::Framework
        } else {
            Layer::Program
        };
    }
    let standard = name == "main" || STANDARD_SYMBOLS.iter().any(|known| name.starts_with(known));
    if standard { Layer::Standard } else { Layer::Program }
}

/// Namespaces of C++ of the language's own libraries.
const STANDARD_NAMESPACES: &[&str] = &["std", "__gnu_cxx", "__cxxabiv1"];

/// Whose code a function of C++ of this readable name is. Who called whom, its namespaces do not tell.
pub(super) fn layer_of_cplusplus(name: &str) -> Layer {
    let own = name.split("::").next().unwrap_or(name);
    if STANDARD_NAMESPACES.contains(&own)
        || own.starts_with("operator new")
        || own.starts_with("operator delete")
    {
        Layer::Standard
    } else {
        Layer::Program
    }
}

/// Whether a method is one of a type of the language, of which slices and arrays have no name.
fn is_primitive(own: &str) -> bool {
    PRIMITIVE_TYPES.contains(&own) || own.starts_with('[')
}

fn is_crate(own: &str, known: &str) -> bool {
    own == known || known.ends_with('_') && own.starts_with(known)
}

/// The crate or package that a function is from; empty for a C function.
pub(super) fn origin(name: &str) -> &str {
    if let Some((own, _)) = name.split_once("::") {
        return own;
    }
    let directory = name.rfind('/').map_or(0, |at| at + 1);
    name[directory..]
        .find('.')
        .map_or("", |at| &name[..directory + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_code_it_is_is_told_by_its_origin() {
        for (name, expected) in [
            ("core::fmt::write", Layer::Standard),
            ("hashbrown::raw::RawTable::reserve", Layer::Standard),
            ("i32::checked_add_unsigned", Layer::Standard),
            ("[u8]::contains", Layer::Standard),
            ("__memmove_avx_unaligned", Layer::Standard),
            ("runtime.mallocgc", Layer::Standard),
            ("runtime/debug.FreeOSMemory", Layer::Standard),
            ("tokio::runtime::task::raw::poll", Layer::Framework),
            ("actix_http::h1::dispatcher::poll", Layer::Framework),
            ("net/http.(*conn).serve", Layer::Framework),
            ("github.com/gin-gonic/gin.(*Context).Next", Layer::Framework),
            ("networking::send", Layer::Program),
            ("serde_json::ser::to_vec", Layer::Program),
            ("encoding/json.Marshal", Layer::Program),
            ("main.report", Layer::Program),
            ("ngx_http_process_request", Layer::Program),
        ] {
            assert_eq!(layer(name), expected, "{name}");
        }
    }
}

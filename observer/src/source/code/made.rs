//! Names that runtimes give the code that they make, in maps for perf: V8's, Python's and Java's have a form of their
//! own, others are taken as they are.

/// What is told of a function by its name in such a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As people write it: `name (file)`, or Java's `Class.method`.
    pub name: String,
    /// Whose code it is.
    pub whose: Whose,
}

/// Whose code a function is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The program's.
    Own,
    /// Of the library of this name.
    Library(String),
    /// Of what calls the program's code.
    Framework,
    /// Of the language, or code that the runtime itself needs.
    Language,
}

/// Packages that call a program's code. A name that ends with `.` stands for all that begin with it.
const JAVA_FRAMEWORKS: &[&str] = &[
    "akka.",
    "com.sun.net.httpserver.",
    "io.helidon.",
    "io.micronaut.",
    "io.netty.",
    "io.quarkus.",
    "io.undertow.",
    "io.vertx.",
    "jakarta.",
    "javax.servlet.",
    "org.apache.catalina.",
    "org.apache.coyote.",
    "org.apache.tomcat.",
    "org.eclipse.jetty.",
    "org.springframework.",
    "reactor.",
    "sun.net.httpserver.",
];

const JAVA_LANGUAGE: &[&str] = &[
    "com.sun.", "groovy.", "java.", "javax.", "jdk.", "kotlin.", "scala.", "sun.",
];

const JAVASCRIPT_FRAMEWORKS: &[&str] = &[
    "body-parser",
    "connect",
    "express",
    "fastify",
    "finalhandler",
    "koa",
    "koa-compose",
    "koa-router",
    "restify",
    "router",
    "@fastify",
    "@hapi",
    "@koa",
    "@nestjs",
];

const PYTHON_FRAMEWORKS: &[&str] = &[
    "aiohttp",
    "anyio",
    "asgiref",
    "bottle.py",
    "cheroot",
    "cherrypy",
    "django",
    "fastapi",
    "flask",
    "gevent",
    "gunicorn",
    "h11",
    "hypercorn",
    "sanic",
    "starlette",
    "tornado",
    "uvicorn",
    "waitress",
    "werkzeug",
];

/// What V8 calls its kinds of code, before a colon.
const V8_KINDS: &[&str] = &[
    "Builtin",
    "BytecodeHandler",
    "Eval",
    "Function",
    "JS",
    "LazyCompile",
    "RegExp",
    "Script",
    "Stub",
];

/// Code that stands for functions of a program, without telling which.
const INTERPRETERS: &[&str] = &["Interpreter", "Builtins_InterpreterEntryTrampoline"];

/// What the names of parts of V8's interpreter begin with. In its file those of bytecodes end with `Handler`.
const INTERPRETER_PARTS: &[&str] = &[
    "BytecodeHandler:",
    "Builtin:InterpreterEntryTrampoline",
    "Builtin:InterpreterPushArgs",
];

/// Whether code of this name, or the function of a runtime's own file, runs a function of the program that is not named
/// by it.
#[must_use]
pub fn is_interpreter(name: &str) -> bool {
    let is_v8s = name.starts_with("Builtins_") && name.ends_with("Handler");
    is_v8s || INTERPRETERS.contains(&name) || INTERPRETER_PARTS.iter().any(|known| name.starts_with(known))
}

/// Reads a name; `None` where it tells of no function which it is.
#[must_use]
pub fn readable(name: &str) -> Option<Function> {
    if is_interpreter(name) {
        return None;
    }
    if let Some(python) = name.strip_prefix("py::") {
        return python_function(python);
    }
    if let Some((kind, rest)) = name.split_once(':').filter(|(kind, _)| V8_KINDS.contains(kind)) {
        return Some(v8_function(kind, rest));
    }
    Some(java_method(name).unwrap_or_else(|| Function {
        name: name.to_owned(),
        whose: Whose::Own,
    }))
}

/// `function:file`; the function has no colon.
fn python_function(text: &str) -> Option<Function> {
    let (function, path) = text.split_once(':')?;
    let whose = if path.starts_with('<') {
        Whose::Language
    } else if let Some(package) = package(path, &["/site-packages/", "/dist-packages/"]) {
        whose_package(package, PYTHON_FRAMEWORKS)
    } else if path.contains("/lib/python") || path.contains("/lib64/python") {
        Whose::Language
    } else {
        Whose::Own
    };
    Some(Function {
        name: in_file(function, path),
        whose,
    })
}

/// After the kind: the tier's sign, the function, and its file, line and column.
fn v8_function(kind: &str, rest: &str) -> Function {
    if !matches!(kind, "Eval" | "Function" | "JS" | "LazyCompile" | "Script") {
        return Function {
            name: rest.to_owned(),
            whose: Whose::Language,
        };
    }
    let rest = rest.trim_start_matches(['~', '^', '*', '+', '\'']);
    // Names of functions have no space as a rule, files may.
    let (function, place) = rest.split_once(' ').unwrap_or((rest, ""));
    let place = place.strip_prefix("file://").unwrap_or(place);
    let whose = if place.is_empty() || place.starts_with("node:") {
        Whose::Framework
    } else if let Some(package) = package(place, &["/node_modules/"]) {
        whose_package(package, JAVASCRIPT_FRAMEWORKS)
    } else {
        Whose::Own
    };
    let column = place.rsplit_once(':').filter(|(_, column)| is_number(column));
    let place = match column {
        // Of a line and a column only the line is told.
        Some((before, _)) if before.rsplit_once(':').is_some_and(|(_, line)| is_number(line)) => before,
        _ => place,
    };
    let function = match (function, kind) {
        ("", "Script" | "Eval") => "(script)",
        ("", _) => "(anonymous)",
        (function, _) => function,
    };
    Function {
        name: if place.is_empty() {
            function.to_owned()
        } else {
            in_file(function, place)
        },
        whose,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `type package.Class.method(types)`, as Java's own map has it.
fn java_method(text: &str) -> Option<Function> {
    let (before, _) = text.strip_suffix(')')?.split_once('(')?;
    let (_, method) = before.split_once(' ')?;
    if method.contains(' ') || !method.contains('.') {
        return None;
    }
    // Classes that are made at run time have a number, and a lambda's is the class that it is in.
    let (class, method) = method.rsplit_once('.')?;
    let class = class.split("$$Lambda").next().unwrap_or(class);
    let class = class.split("/0x").next().unwrap_or(class);
    let is_of = |known: &&&str| class.starts_with(**known);
    let whose = if JAVA_FRAMEWORKS.iter().any(|known| is_of(&known)) {
        Whose::Framework
    } else if JAVA_LANGUAGE.iter().any(|known| is_of(&known)) {
        Whose::Language
    } else {
        // Whose a package is, its name does not tell.
        Whose::Own
    };
    Some(Function {
        name: format!("{class}.{method}"),
        whose,
    })
}

/// The directory or file behind the last of these.
fn package<'a>(path: &'a str, below: &[&str]) -> Option<&'a str> {
    let ends = below
        .iter()
        .filter_map(|directory| Some(path.rfind(directory)? + directory.len()));
    let inside = &path[ends.max()?..];
    Some(inside.split('/').next().unwrap_or(inside))
}

fn whose_package(package: &str, frameworks: &[&str]) -> Whose {
    if frameworks.contains(&package) {
        Whose::Framework
    } else {
        Whose::Library(package.to_owned())
    }
}

/// Files that many directories have, by how their names begin.
const COMMON_FILES: &[&str] = &["__", "index.", "main.", "mod.", "utils."];

fn in_file(function: &str, path: &str) -> String {
    let mut parts = path.rsplitn(3, '/');
    let file = parts.next().unwrap_or_default();
    match parts.next().filter(|directory| !directory.is_empty()) {
        Some(directory) if COMMON_FILES.iter().any(|common| file.starts_with(common)) => {
            format!("{function} ({directory}/{file})")
        }
        _ => format!("{function} ({file})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<(String, Whose)> {
        readable(name).map(|function| (function.name, function.whose))
    }

    #[track_caller]
    fn tells(cases: &[(&str, &str, Whose)]) {
        for (name, expected, whose) in cases {
            assert_eq!(
                told(name),
                Some(((*expected).to_owned(), whose.clone())),
                "{name}"
            );
        }
    }

    fn library(name: &str) -> Whose {
        Whose::Library(name.to_owned())
    }

    #[test]
    fn python_functions_have_their_file() {
        tells(&[
            ("py::spin:/srv/app.py", "spin (app.py)", Whose::Own),
            (
                "py::Shop.total:/srv/shop/__init__.py",
                "Shop.total (shop/__init__.py)",
                Whose::Own,
            ),
            ("py::<lambda>:app.py", "<lambda> (app.py)", Whose::Own),
            (
                "py::dumps:/usr/lib/python3.12/json/__init__.py",
                "dumps (json/__init__.py)",
                Whose::Language,
            ),
            (
                "py::_find:<frozen importlib._bootstrap>",
                "_find (<frozen importlib._bootstrap>)",
                Whose::Language,
            ),
            (
                "py::run:/v/lib/python3.12/site-packages/uvicorn/server.py",
                "run (server.py)",
                Whose::Framework,
            ),
            (
                "py::render:/v/lib/python3.12/site-packages/jinja2/env.py",
                "render (env.py)",
                library("jinja2"),
            ),
        ]);
        assert_eq!(told("py::"), None);
    }

    #[test]
    fn javascript_functions_have_their_line() {
        tells(&[
            ("JS:*burn /srv/s.js:2:14", "burn (s.js:2)", Whose::Own),
            (
                "JS:^reply file:///srv/routes/index.js:3:15",
                "reply (routes/index.js:3)",
                Whose::Own,
            ),
            ("LazyCompile:~ /srv/s.js:4:1", "(anonymous) (s.js:4)", Whose::Own),
            ("Script:~ /srv/s.js:1:1", "(script) (s.js:1)", Whose::Own),
            (
                "JS:*next /srv/node_modules/express/lib/router.js:7:3",
                "next (router.js:7)",
                Whose::Framework,
            ),
            (
                "JS:*parse /srv/node_modules/@x/yaml/p.js:7:3",
                "parse (p.js:7)",
                library("@x"),
            ),
            (
                "JS:*onRead node:internal/stream:8:1",
                "onRead (stream:8)",
                Whose::Framework,
            ),
            ("Builtin:ArrayMap", "ArrayMap", Whose::Language),
            ("RegExp:^a+$", "^a+$", Whose::Language),
            ("JS:*a b/my file.js", "a (my file.js)", Whose::Own),
        ]);
    }

    #[test]
    fn java_methods_have_their_class() {
        tells(&[
            ("void Server.burn(int)", "Server.burn", Whose::Own),
            (
                "void Server$$Lambda$14/0x0000000800c031f8.handle(com.sun.net.httpserver.HttpExchange)",
                "Server.handle",
                Whose::Own,
            ),
            (
                "java.lang.Object java.util.HashMap.put(java.lang.Object, java.lang.Object)",
                "java.util.HashMap.put",
                Whose::Language,
            ),
            (
                "void sun.net.httpserver.ServerImpl$Exchange.run()",
                "sun.net.httpserver.ServerImpl$Exchange.run",
                Whose::Framework,
            ),
            ("com.acme.Shop::total", "com.acme.Shop::total", Whose::Own),
        ]);
    }

    #[test]
    fn an_interpreter_tells_of_no_function() {
        for name in [
            "Interpreter",
            "Builtin:InterpreterEntryTrampoline",
            "BytecodeHandler:Star",
        ] {
            assert_eq!(told(name), None, "{name}");
            assert!(is_interpreter(name));
        }
        assert!(!is_interpreter("InterpreterOfMine") && !is_interpreter("JS:*Interpreter s.js:1:1"));
    }
}

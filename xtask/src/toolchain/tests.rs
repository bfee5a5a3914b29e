//! Compilers and linkers that are told and not asked.

use super::*;

fn compiler(llvm: u32) -> Compiler {
    Compiler {
        origin: Origin::Debian,
        release: "1.96.0".to_owned(),
        llvm,
    }
}

#[test]
fn the_version_text_gives_release_and_llvm_major() {
    let text = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
    let found = parse_version(Origin::Debian, text).unwrap();
    assert_eq!((found.release.as_str(), found.llvm), ("1.97.0-nightly", 22));
    assert!(parse_version(Origin::Debian, "rustc 1.97.0").is_err());
}

#[test]
fn releases_are_compared_by_number() {
    assert!(minor("1.100.0") > minor("1.95"));
    assert_eq!(minor("1.95.0-nightly"), minor("1.95"));
}

#[test]
fn the_plain_nightly_goes_before_dated_ones_and_those_by_age() {
    let list = "stable-x (active, default)\nnightly-2026-01-01-x\nnightly-2026-05-20-x\nnightly-x86_64\n";
    assert_eq!(
        nightlies_in(list),
        ["nightly-x86_64", "nightly-2026-05-20-x", "nightly-2026-01-01-x"]
    );
}

#[test]
fn a_compiler_without_sources_is_refused() {
    let rustc = |flags: &[&str]| {
        let sysroot = flags.contains(&"--print");
        Ok(if sysroot {
            "/nowhere\n"
        } else {
            "release: 1.99.0\nLLVM version: 23.1\n"
        }
        .to_owned())
    };
    let refused = inspect(Origin::Debian, rustc).unwrap_err();
    assert!(matches!(refused, Refusal::NoSources(_)), "{refused}");
}

#[test]
fn a_compiler_older_than_the_workspace_allows_is_refused() {
    let refused = inspect(Origin::Debian, |_| {
        Ok("release: 1.80.0\nLLVM version: 18.1\n".to_owned())
    })
    .unwrap_err();
    assert!(matches!(refused, Refusal::Old(_)), "{refused}");
}

#[test]
fn a_compiler_too_young_for_the_linker_is_passed_over_for_one_that_fits() {
    let linker = Linker {
        path: PathBuf::from("bpf-linker"),
        llvm: Some(22),
    };
    let found = pair(vec![Ok(compiler(23)), Ok(compiler(22))], Some(linker.clone())).unwrap();
    assert_eq!(found.compiler.llvm, 22);
    let missing = pair(vec![Ok(compiler(23))], Some(linker)).unwrap_err();
    assert!(missing.to_string().contains("is too old for"), "{missing}");
}

#[test]
fn only_what_is_missing_is_named() {
    let absent = || Err(Refusal::Absent("no rustup".to_owned()));
    let missing = pair(vec![absent(), Ok(compiler(22))], None).unwrap_err();
    assert_eq!(missing.0, [NO_LINKER]);
    let missing = pair(vec![absent()], None).unwrap_err();
    assert_eq!(missing.0, ["no rustup", NO_LINKER]);
}

#[test]
fn a_linker_reads_its_own_and_older_bitcode() {
    let linker = |llvm| Linker {
        path: PathBuf::from("bpf-linker"),
        llvm,
    };
    assert!(linker(Some(22)).reads(22));
    assert!(linker(Some(23)).reads(22));
    assert!(!linker(Some(22)).reads(23));
    assert!(linker(None).reads(23));
}

#[test]
fn the_shared_llvm_is_read_from_the_library_name() {
    assert_eq!(shared_llvm(b"\0libc.so.6\0libLLVM.so.22.1\0"), Some(22));
    assert_eq!(shared_llvm(b"\0libc.so.6\0"), None);
}

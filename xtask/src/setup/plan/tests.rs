//! Plans for machines that do not exist.

use super::*;
use crate::toolchain::Linker;

fn nightly_with(llvm: u32) -> Compiler {
    Compiler {
        origin: Origin::Rustup("nightly-x".to_owned()),
        release: "1.97.0-nightly".to_owned(),
        llvm,
    }
}

fn linker_with(llvm: u32) -> Option<Linker> {
    Some(Linker {
        path: PathBuf::from("bpf-linker"),
        llvm: Some(llvm),
    })
}

fn lines(route: Route, machine: &Machine) -> Vec<String> {
    steps(route, machine).unwrap().iter().map(Step::line).collect()
}

fn fresh_debian() -> Machine {
    Machine {
        has_rustup: true,
        apt: true,
        root: Root::Sudo,
        ..Machine::bare()
    }
}

#[test]
fn a_complete_machine_needs_nothing() {
    let machine = Machine {
        rustup: vec![Ok(nightly_with(22))],
        linker: linker_with(22),
        ..Machine::bare()
    };
    assert!(lines(Route::Rustup, &machine).is_empty());
}

#[test]
fn a_fresh_machine_gets_a_nightly_then_llvm_then_the_linker() {
    let lines = lines(Route::Rustup, &fresh_debian());
    assert!(
        lines[0].starts_with("rustup toolchain install nightly-2"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1],
        "sudo apt-get install --yes --no-install-recommends --option DPkg::Lock::Timeout=300 llvm-22-dev g++"
    );
    assert!(
        lines[2].starts_with("LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker"),
        "{lines:?}"
    );
    assert!(lines[2].contains("--features llvm-22"), "{lines:?}");
}

#[test]
fn an_installed_nightly_is_completed_and_not_updated() {
    let rustup = vec![Err(Refusal::NoSources(nightly_with(22)))];
    let machine = Machine {
        rustup,
        linker: linker_with(22),
        ..fresh_debian()
    };
    let expected = "rustup component add rust-src clippy --toolchain nightly-x";
    assert_eq!(lines(Route::Rustup, &machine), [expected]);
}

#[test]
fn beside_a_nightly_that_is_too_old_another_is_installed() {
    let rustup = vec![Err(Refusal::Old(nightly_with(18)))];
    let machine = Machine {
        rustup,
        linker: linker_with(22),
        ..fresh_debian()
    };
    assert!(lines(Route::Rustup, &machine)[0].starts_with("rustup toolchain install nightly-2"));
}

#[test]
fn beside_a_nightly_whose_llvm_nobody_packages_another_is_installed() {
    for young in [
        Ok(nightly_with(23)),
        Err(Refusal::NoSources(nightly_with(23))),
        Ok(nightly_with(99)),
    ] {
        let machine = Machine {
            rustup: vec![young],
            llvms_of_apt: vec![22],
            ..fresh_debian()
        };
        let lines = lines(Route::Rustup, &machine);
        assert!(
            lines[0].starts_with("rustup toolchain install nightly-2"),
            "{lines:?}"
        );
        assert!(lines[1].contains("llvm-22-dev"), "{lines:?}");
    }
}

#[test]
fn the_linker_is_compiled_against_the_llvm_of_the_compiler() {
    let llvms = vec![(22, PathBuf::from("/a")), (23, PathBuf::from("/b"))];
    let rustup = vec![Ok(nightly_with(23))];
    let machine = Machine {
        rustup,
        llvms,
        linker: linker_with(22),
        ..Machine::bare()
    };
    let lines = lines(Route::Rustup, &machine);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("LLVM_PREFIX=/b ") && lines[0].contains("llvm-23"),
        "{lines:?}"
    );
}

#[test]
fn a_compiler_for_which_the_linker_is_there_comes_first() {
    let rustup = vec![Ok(nightly_with(23)), Ok(nightly_with(22))];
    let machine = Machine {
        rustup,
        linker: linker_with(22),
        llvms_of_apt: vec![23],
        ..fresh_debian()
    };
    assert!(lines(Route::Rustup, &machine).is_empty());
}

#[test]
fn root_needs_no_sudo_and_without_either_the_command_is_told() {
    let machine = Machine {
        root: Root::Yes,
        ..fresh_debian()
    };
    assert!(lines(Route::Debian, &machine)[0].starts_with("apt-get install"));
    let machine = Machine {
        root: Root::No,
        ..fresh_debian()
    };
    let reason = steps(Route::Debian, &machine).unwrap_err();
    assert!(
        reason.ends_with("rustc-web rust-web-src rust-web-clippy"),
        "{reason}"
    );
    assert!(!reason.contains("sudo apt-get"), "{reason}");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes `include/carrick.h`, or with `--check` says whether it is up to date.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("include/carrick.h");
    let generated = cbindgen::Config::from_file(root.join("ffi/cbindgen.toml"))
        .and_then(|config| {
            cbindgen::Builder::new()
                .with_config(config)
                .with_crate(root.join("ffi"))
                .generate()
                .map_err(|e| e.to_string())
        })
        .map(|bindings| {
            let mut text = Vec::new();
            bindings.write(&mut text);
            text
        });
    let text = match generated {
        Ok(text) => text,
        Err(error) => {
            eprintln!("carrick-header: {error}");
            return ExitCode::FAILURE;
        }
    };
    if std::env::args().any(|a| a == "--check") {
        if std::fs::read(&target).is_ok_and(|committed| committed == text) {
            return ExitCode::SUCCESS;
        }
        eprintln!(
            "carrick-header: include/carrick.h is out of date: run `cargo run -p carrick-header` and commit it"
        );
        return ExitCode::FAILURE;
    }
    if let Err(error) = std::fs::write(&target, text) {
        eprintln!("carrick-header: {}: {error}", target.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

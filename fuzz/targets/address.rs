// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses: whatever text is given is refused with a reason or reads back as it was written.
#![no_main]

use carrick::{Address, Kind, ListenOptions, Listener};
use libfuzzer_sys::{Corpus, fuzz_target};
use std::net::SocketAddr;

/// Whether reading this text would ask a name server.
fn is_looked_up(text: &str) -> bool {
    !text.starts_with("unix:")
        && text.parse::<SocketAddr>().is_err()
        && text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

fuzz_target!(|text: &str| -> Corpus {
    if is_looked_up(text) {
        return Corpus::Reject;
    }
    match text.parse::<Address>() {
        Ok(address) => {
            let again: Address = address.to_string().parse().expect("what is written can be read");
            assert_eq!(again, address);
            assert_eq!(address.port().is_some(), text.parse::<SocketAddr>().is_ok());
            if let Address::Abstract(name) = &address {
                match Listener::bind(&address, &ListenOptions::default()) {
                    Ok(listener) if !name.is_empty() => {
                        assert_eq!(listener.local_address().expect("it is bound"), address);
                    }
                    Ok(_) => {}
                    Err(e) if e.kind() == Kind::Invalid => assert!(name.len() > 106, "{e}"),
                    Err(e) => assert_eq!(e.kind(), Kind::Os, "{e}"),
                }
            }
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.detail().is_some_and(|words| !words.is_empty()));
        }
    }
    Corpus::Keep
});

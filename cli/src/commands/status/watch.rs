//! `nautilus status --watch`: the screen again and again, until it is stopped or nobody reads it any more.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use nautilus_service::Clock;
use nautilus_types::Class;

use super::{is_told, look, may_pass, screen, status_json};
use crate::cli::{Global, OutputFormat};
use crate::exit::{self, Failure};
use crate::output;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where the screens go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Onto {
    /// Each in the place of the one before.
    Terminal,
    /// One below the other, an empty line between.
    File,
    /// A JSON value a line.
    Lines,
}

/// Looks every second. A cluster that cannot be asked is no end: it may come back, and that is what is waited for.
pub(super) async fn run(global: &Global) -> anyhow::Result<()> {
    let onto = match global.output {
        OutputFormat::Json => Onto::Lines,
        OutputFormat::Human if io::stdout().is_terminal() => Onto::Terminal,
        OutputFormat::Human => Onto::File,
    };
    let clock = Clock::system();
    let mut explained = false;
    loop {
        let began = clock.now();
        let looked = if is_told(global) {
            look(global, &mut explained).await
        } else {
            let folder = global.data_dir.display();
            Err(Failure::new(Class::Unavailable, format!("nothing runs in {folder}")).into())
        };
        let said = match (looked, onto) {
            (Ok(status), Onto::Lines) => status_json(&status).to_string(),
            (Ok(status), Onto::Terminal | Onto::File) => screen(&status),
            (Err(error), _) if !may_pass(&error) => return Err(error),
            (Err(error), Onto::Lines) => exit::as_json(&error).to_string(),
            (Err(error), Onto::Terminal | Onto::File) => {
                format!("the cluster cannot be asked: {}", exit::describe(&error))
            }
        };
        if !output::is_read(&frame(&said, onto))? {
            return Ok(());
        }
        tokio::time::sleep_until((began + INTERVAL).into()).await;
    }
}

/// What is written for one look.
fn frame(said: &str, onto: Onto) -> String {
    let said = said.trim_end_matches('\n');
    match onto {
        Onto::Lines => format!("{said}\n"),
        Onto::File => format!("{said}\n\n"),
        // From the upper left corner on, each line cleared behind its text, then what is left below: nothing flickers.
        Onto::Terminal => format!("\x1b[H{}\x1b[K\n\x1b[J", said.replace('\n', "\x1b[K\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_takes_the_place_of_the_one_before() {
        assert_eq!(frame("a\nb\n", Onto::Terminal), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(frame("a\nb\n", Onto::File), "a\nb\n\n");
        assert_eq!(frame("{}", Onto::Lines), "{}\n");
    }
}

//! Builds the programs of the earlier commit that `tests/previous` names, and prints their folder. Prints nothing where
//! the history is not here.
#![allow(clippy::print_stdout, reason = "a script reads it")]

fn main() {
    if let Some(folder) = e2e::previous::programs() {
        println!("{}", folder.display());
    }
}

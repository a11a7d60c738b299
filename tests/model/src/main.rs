//! Prints what the searches find: `cargo run -p changeover-model` for everything, with a word only what has it in its name, with
//! `--trace` the shortest counterexamples as well.

use changeover_model::{
    cases::{Verdict, case, sound},
    guard::Guard,
    search::{Found, search},
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let traced = arguments.iter().any(|a| a == "--trace");
    let word = arguments.iter().find(|a| !a.starts_with("--")).cloned().unwrap_or_default();
    let mut wrong = 0;
    println!(
        "{:<58} {:>10} {:>10} {:>6} {:>8}  result",
        "configuration, all guards", "states", "unique", "depth", "time"
    );
    for config in sound().into_iter().filter(|config| config.name.contains(&word)) {
        let found = search(config, &[]);
        wrong += usize::from(!found.broken.is_empty());
        print(config.name, &found, traced);
    }
    println!("\n{:<24} {:<58} {:>6} {:>10} {:>8}", "guard taken away", "what breaks", "steps", "unique", "time");
    for guard in Guard::ALL.into_iter().filter(|guard| format!("{guard:?}").contains(&word)) {
        wrong += usize::from(!tell(guard, traced));
    }
    std::process::exit(i32::from(wrong > 0));
}

fn print(name: &str, found: &Found, traced: bool) {
    let broken: Vec<&str> = found.broken.iter().map(|(name, _)| *name).collect();
    let result = if broken.is_empty() { "no violation".to_owned() } else { broken.join(", ") };
    let seconds = found.time.as_secs_f64();
    println!("{name:<58} {:>10} {:>10} {:>6} {seconds:>7.1}s  {result}", found.states, found.unique, found.depth);
    if traced {
        trace(found);
    }
}

fn trace(found: &Found) {
    for (name, steps) in &found.broken {
        println!("    {name}: {}", steps.join(" "));
    }
}

/// Whether the search says of a guard what is expected.
fn tell(guard: Guard, traced: bool) -> bool {
    let (config, verdict) = case(guard);
    let alone = config.without(guard);
    let (found, name, expected) = match verdict {
        Verdict::Breaks(name) => (search(alone, &[name]), name.to_owned(), name),
        Verdict::Behind(others, name) => {
            let found = search(alone, &[]);
            if !found.broken.is_empty() {
                print(&format!("{guard:?} was expected to break nothing alone"), &found, traced);
                return false;
            }
            let bare = others.iter().fold(alone, |config, other| config.without(*other));
            (search(bare, &[name]), format!("nothing; without {others:?} too: {name}"), name)
        }
    };
    let steps = found.counterexample(expected).map_or("NONE".to_owned(), |steps| steps.len().to_string());
    let seconds = found.time.as_secs_f64();
    println!("{:<24} {name:<58} {steps:>6} {:>10} {seconds:>7.1}s", format!("{guard:?}"), found.unique);
    if traced || steps == "NONE" {
        trace(&found);
    }
    steps != "NONE"
}

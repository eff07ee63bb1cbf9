//! Plays the wire test through tollring, nginx and HAProxy, and prints who passes what.
//!
//! Run by `benches/wire`, which installs the other two. It judges nothing itself: what is
//! right stands in the cases, and is the same for all three.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;
#[path = "mod.rs"]
mod wire;

use std::env;
use std::process::{Command, ExitCode};

use serde_json::{Value, json};
use wire::play::{Played, play};
use wire::product::Product;
use wire::{TOPICS, Topic};

const USAGE: &str = "usage: benches/wire [--verbose] [--json] [--topic NAME] [PRODUCT...]

  --verbose     name every case that failed, by product; twice: say what was seen as well
  --json        print one object instead of a table
  --topic NAME  play only this topic
  PRODUCT       tollring, nginx or haproxy; all of them when none is named
";

/// What was asked for on the command line.
#[derive(Default)]
struct Wanted {
    verbose: usize,
    json: bool,
    topic: Option<String>,
    products: Vec<Product>,
}

/// What one product did with one topic; none where it cannot be set up for it.
type Cell = Option<Vec<Played>>;

fn main() -> ExitCode {
    let wanted = match Wanted::read() {
        Ok(wanted) => wanted,
        Err(word) => {
            eprint!("benches/wire does not know {word:?}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let topics = TOPICS.iter().filter(|topic| wanted.has(topic));
    let mut rows = Vec::new();
    for topic in topics {
        let mut row = Vec::new();
        for &product in &wanted.products {
            match cell(topic, product) {
                Ok(cell) => row.push(cell),
                Err(why) => {
                    eprintln!("benches/wire: {}: {why}", product.name());
                    return ExitCode::FAILURE;
                }
            }
        }
        rows.push((topic, row));
    }
    if wanted.json {
        println!("{}", report(&wanted, &rows));
    } else {
        print_table(&wanted, &rows);
    }
    ExitCode::SUCCESS
}

impl Wanted {
    /// Reads the command line; the word it cannot read, if there is one.
    fn read() -> Result<Self, String> {
        let mut wanted = Self::default();
        // Cargo tells a benchmark that it is one.
        let mut words = env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            match word.as_str() {
                "--verbose" => wanted.verbose += 1,
                "--json" => wanted.json = true,
                "--topic" => wanted.topic = Some(words.next().ok_or(word)?),
                name => {
                    let named = Product::ALL.iter().find(|product| product.name() == name);
                    wanted.products.push(*named.ok_or_else(|| name.to_owned())?);
                }
            }
        }
        if let Some(name) = &wanted.topic
            && !TOPICS.iter().any(|topic| topic.name == name)
        {
            return Err(name.clone());
        }
        if wanted.products.is_empty() {
            wanted.products = Product::ALL.to_vec();
        }
        Ok(wanted)
    }

    fn has(&self, topic: &Topic) -> bool {
        self.topic.as_ref().is_none_or(|name| name == topic.name)
    }
}

fn cell(topic: &Topic, product: Product) -> Result<Cell, String> {
    if !product.knows(topic.setting) {
        return Ok(None);
    }
    play(topic, product).map(Some)
}

fn passes(cell: &Cell) -> Option<(usize, usize)> {
    let played = cell.as_ref()?;
    let passed = played.iter().filter(|case| case.verdict.is_ok()).count();
    Some((passed, played.len()))
}

fn print_table(wanted: &Wanted, rows: &[(&Topic, Vec<Cell>)]) {
    let names: Vec<&str> = wanted
        .products
        .iter()
        .map(|product| product.name())
        .collect();
    let print_row = |name: &str, cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>12}")).collect();
        println!("{name:<16}{}", cells.join(""));
    };
    print_row(
        "topic",
        &names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>(),
    );
    let mut totals = vec![(0, 0); wanted.products.len()];
    for (topic, row) in rows {
        let mut cells = Vec::new();
        for (cell, total) in row.iter().zip(&mut totals) {
            cells.push(match passes(cell) {
                None => "-".to_owned(),
                Some((passed, all)) => {
                    *total = (total.0 + passed, total.1 + all);
                    format!("{passed}/{all}")
                }
            });
        }
        print_row(topic.name, &cells);
    }
    let totals = totals.iter().map(|(passed, all)| format!("{passed}/{all}"));
    print_row("all", &totals.collect::<Vec<_>>());
    for product in &wanted.products {
        println!("{}: {}", product.name(), version(*product));
    }
    if wanted.verbose > 0 {
        print_failures(wanted, rows);
    }
}

fn print_failures(wanted: &Wanted, rows: &[(&Topic, Vec<Cell>)]) {
    for (at, product) in wanted.products.iter().enumerate() {
        let mut cases = rows.iter().flat_map(|(_, row)| row[at].iter().flatten());
        if cases.all(|case| case.verdict.is_ok()) {
            continue;
        }
        println!("\n{} fails:", product.name());
        for (topic, row) in rows {
            for case in row[at].iter().flatten() {
                if let Err(why) = &case.verdict {
                    println!("  {}: {} ({})", topic.name, case.name, case.rfc);
                    if wanted.verbose > 1 {
                        println!("      {why}");
                    }
                }
            }
        }
    }
}

fn report(wanted: &Wanted, rows: &[(&Topic, Vec<Cell>)]) -> Value {
    let products = wanted.products.iter().enumerate().map(|(at, &product)| {
        let topics = rows.iter().filter_map(|(topic, row)| {
            let (passed, cases) = passes(&row[at])?;
            let failed = row[at].iter().flatten().filter_map(|case| {
                let why = case.verdict.as_ref().err()?;
                Some(json!({ "name": case.name, "rfc": case.rfc, "why": why }))
            });
            let failed: Vec<Value> = failed.collect();
            let name = topic.name;
            Some(json!({ "topic": name, "passed": passed, "cases": cases, "failed": failed }))
        });
        let topics: Vec<Value> = topics.collect();
        json!({ "product": product.name(), "version": version(product), "topics": topics })
    });
    json!({ "products": products.collect::<Vec<_>>() })
}

/// The first line of what a product says of itself.
fn version(product: Product) -> String {
    let (program, word) = match product {
        Product::Tollring => (support::binary::BINARY, "--version"),
        Product::Nginx | Product::Haproxy => (product.name(), "-v"),
    };
    let Ok(said) = Command::new(program).arg(word).output() else {
        return "not installed".to_owned();
    };
    // nginx says it where others say what went wrong.
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().to_owned()
}

//! What a run came to: a row for each phase, what else there is to say, and what was not as it
//! should be.
//!
//! Whoever plays a phase says what it expects; here it is only written down.

use serde_json::{Value, json};

use super::house::Standing;
use super::traffic::Tally;

/// One phase, as normal traffic and the kernel saw it.
pub(crate) struct Row {
    /// What it is called.
    pub(crate) phase: String,
    /// Normal traffic in it.
    pub(crate) tally: Tally,
    /// Requests of it that a provider read twice.
    pub(crate) twice: u64,
    /// Its p99 over that of a quiet time.
    pub(crate) of_quiet: Option<f64>,
    /// What the process had in use at its end.
    pub(crate) standing: Standing,
}

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    facts: Vec<String>,
    broken: Vec<String>,
}

/// A line of the table; numbers stand at the right.
fn line(cells: [&str; 9]) -> String {
    let [phase, asked, well, failed, twice, p50, p99, ratio, use_of] = cells;
    format!(
        "{phase:<26}{asked:>9}{well:>9}{failed:>9}{twice:>7}{p50:>10}{p99:>10}{ratio:>8}  {use_of}"
    )
}

const HEAD: [&str; 9] = [
    "normal traffic during",
    "requests",
    "well",
    "failed",
    "twice",
    "p50",
    "p99",
    "ratio",
    "memory, descriptors",
];

impl Row {
    fn text(&self) -> String {
        let failed = self.tally.requests() - self.tally.well();
        let standing = format!(
            "{:.1} MiB, {}",
            mebibytes(self.standing.memory_kib),
            self.standing.descriptors
        );
        line([
            &self.phase,
            &self.tally.requests().to_string(),
            &self.tally.well().to_string(),
            &failed.to_string(),
            &self.twice.to_string(),
            &format!("{} µs", self.tally.quantile(500)),
            &format!("{} µs", self.tally.quantile(990)),
            &self
                .of_quiet
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            &standing,
        ])
    }

    fn json(&self) -> Value {
        let told = self.tally.told.iter();
        let told: serde_json::Map<String, Value> = told
            .map(|(told, count)| (told.word(), json!(count)))
            .collect();
        json!({
            "phase": self.phase,
            "requests": self.tally.requests(),
            "told": told,
            "read_twice": self.twice,
            "p50_us": self.tally.quantile(500),
            "p99_us": self.tally.quantile(990),
            "p99_ratio": self.of_quiet,
            "memory_kib": self.standing.memory_kib,
            "descriptors": self.standing.descriptors,
        })
    }
}

/// For people.
pub(crate) fn mebibytes(kib: u64) -> f64 {
    // Exact far beyond the memory of any machine.
    kib as f64 / 1024.0
}

impl Report {
    /// A phase has ended. Normal traffic never fails, and nothing of it is done twice.
    #[allow(clippy::print_stderr)] // progress, beside what a program may read
    pub(crate) fn row(&mut self, row: Row) {
        if self.rows.is_empty() {
            eprintln!("{}", line(HEAD));
        }
        eprintln!("{}", row.text());
        let failures = row.tally.failures();
        self.expect(failures == "-" && row.tally.well() > 0, || {
            format!("{}: normal traffic failed: {failures}", row.phase)
        });
        self.expect(row.twice == 0, || {
            format!("{}: {} requests were read twice", row.phase, row.twice)
        });
        self.rows.push(row);
    }

    /// Something worth knowing.
    #[allow(clippy::print_stderr)] // progress, beside what a program may read
    pub(crate) fn fact(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        self.facts.push(text);
    }

    /// Holds the gateway to something.
    #[allow(clippy::print_stderr)] // progress, beside what a program may read
    pub(crate) fn expect(&mut self, is_so: bool, else_say: impl FnOnce() -> String) {
        if !is_so {
            let broken = else_say();
            eprintln!("  NOT AS EXPECTED: {broken}");
            self.broken.push(broken);
        }
    }

    /// Whether everything was as it should be.
    pub(crate) fn is_well(&self) -> bool {
        self.broken.is_empty()
    }

    /// Says it all again, in one place.
    #[allow(clippy::print_stdout)] // what was asked for
    pub(crate) fn print(&self, as_json: bool, machine: &str) {
        if as_json {
            let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
            println!(
                "{}",
                json!({
                    "machine": machine, "well": self.is_well(), "broken": self.broken,
                    "phases": rows, "facts": self.facts,
                })
            );
            return;
        }
        println!("\n{machine}\n\n{}", line(HEAD));
        for row in &self.rows {
            println!("{}", row.text());
        }
        println!();
        for fact in &self.facts {
            println!("{fact}");
        }
        match self.broken.as_slice() {
            [] => println!("\nEverything was as expected."),
            broken => println!("\nNot as expected:\n  {}", broken.join("\n  ")),
        }
    }
}

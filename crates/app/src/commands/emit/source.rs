//! Where events come from.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};

use crate::demo::simulate::Simulation;

/// Events to send.
pub enum Source {
    /// A text: one event, an array, or one event after another.
    Text {
        /// How errors call it.
        name: String,
        /// The text; read as it is needed.
        reader: Box<dyn BufRead + Send>,
    },
    /// Simulated stores.
    Generated {
        /// How many events.
        count: u64,
        /// The stores.
        simulation: Box<Simulation>,
    },
}

/// What takes events; false: it wants no more.
pub type Take<'a> = dyn FnMut(Box<RawValue>) -> bool + 'a;

impl Source {
    /// A file, or standard input for `-`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::stdin());
        }
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self::text(path.to_owned(), file))
    }

    /// Standard input.
    pub fn stdin() -> Self {
        Self::text("standard input".into(), std::io::stdin())
    }

    /// Events of stores that begin their day now.
    pub fn generated(count: u64, stores: u16, seed: u64) -> Self {
        Self::Generated { count, simulation: Box::new(Simulation::new(seed, stores, jiff::Timestamp::now())) }
    }

    fn text(name: PathBuf, reader: impl Read + Send + 'static) -> Self {
        Self::Text { name: name.display().to_string(), reader: Box::new(BufReader::new(reader)) }
    }

    /// Gives every event to `take`, until it wants no more.
    ///
    /// # Errors
    /// When the text cannot be read or is not JSON; the error names the place.
    pub fn each(self, take: &mut Take<'_>) -> anyhow::Result<()> {
        match self {
            Self::Text { name, reader } => text(reader, take).with_context(|| format!("read events from {name}")),
            Self::Generated { count, simulation } => generated(count, *simulation, take),
        }
    }
}

fn generated(count: u64, simulation: Simulation, take: &mut Take<'_>) -> anyhow::Result<()> {
    let Ok(count) = usize::try_from(count) else {
        return Err(anyhow!("{count} events are more than this machine can count"));
    };
    for next in simulation.take(count) {
        if !take(to_raw_value(&next.event)?) {
            break;
        }
    }
    Ok(())
}

/// An array is read element by element, so that a long one needs no more memory than a short one.
fn text(mut reader: Box<dyn BufRead + Send>, take: &mut Take<'_>) -> anyhow::Result<()> {
    if first_byte(&mut reader)? == Some(b'[') {
        let mut json = serde_json::Deserializer::from_reader(reader);
        let mut enough = false;
        let read = Elements { take, enough: &mut enough }.deserialize(&mut json).and_then(|()| json.end());
        // What is left of the array is of no interest then, so neither is whether it is well-formed.
        return if enough { Ok(()) } else { Ok(read?) };
    }
    for event in serde_json::Deserializer::from_reader(reader).into_iter::<Box<RawValue>>() {
        if !take(event?) {
            break;
        }
    }
    Ok(())
}

/// The first byte that is no white space, left in the reader.
fn first_byte(reader: &mut dyn BufRead) -> std::io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(None);
        }
        if let Some(at) = buffer.iter().position(|b| !b.is_ascii_whitespace()) {
            let first = buffer[at];
            reader.consume(at);
            return Ok(Some(first));
        }
        let blank = buffer.len();
        reader.consume(blank);
    }
}

struct Elements<'a, 'b> {
    take: &'a mut Take<'b>,
    enough: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(event) = seq.next_element::<Box<RawValue>>()? {
            if !(self.take)(event) {
                *self.enough = true;
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str, most: usize) -> anyhow::Result<Vec<String>> {
        let mut events = Vec::new();
        Source::text("test".into(), text.as_bytes()).each(&mut |event| {
            events.push(event.get().to_owned());
            events.len() < most
        })?;
        Ok(events)
    }

    #[test]
    fn one_event_an_array_and_one_a_line_are_all_understood() {
        assert_eq!(read("{\n \"a\": 1\n}", 9).unwrap(), ["{\n \"a\": 1\n}"]);
        assert_eq!(read(" \n[{\"a\":1}, {\"a\":2.50}]\n", 9).unwrap(), ["{\"a\":1}", "{\"a\":2.50}"]);
        assert_eq!(read("{\"a\":1}\n\n{\"a\":2}\n", 9).unwrap(), ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(read("", 9).unwrap(), [""; 0]);
        assert_eq!(read("[]", 9).unwrap(), [""; 0]);
    }

    #[test]
    fn a_reader_that_wants_no_more_gets_no_more() {
        assert_eq!(read("[1,2,3]", 2).unwrap().len(), 2);
        assert_eq!(read("1 2 3", 2).unwrap().len(), 2);
    }

    #[test]
    fn broken_text_is_told_with_its_place() {
        for broken in ["{\"a\":", "[{\"a\":1}", "[1] x", "{} nonsense"] {
            let error = format!("{:#}", read(broken, 9).unwrap_err());
            assert!(error.contains("read events from test") && error.contains("line 1"), "{broken}: {error}");
        }
    }

    #[test]
    fn the_same_seed_generates_the_same_documents() {
        let names = |seed| {
            let mut names = Vec::new();
            let start = "2026-03-14T15:00:00Z".parse().unwrap();
            let source = Source::Generated { count: 20, simulation: Box::new(Simulation::new(seed, 3, start)) };
            source
                .each(&mut |event| {
                    names.push(event.get().to_owned());
                    true
                })
                .unwrap();
            names
        };
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
        assert_eq!(names(7).len(), 20);
    }
}

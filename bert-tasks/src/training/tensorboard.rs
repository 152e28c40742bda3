//! Event files as TensorBoard reads them: a point for each figure of each step and each evaluation.
//!
//! A file is a row of records, each a small protocol buffer. Five fields of three messages are all that curves need, which
//! is less to write down than what a library for protocol buffers would need to know of them. Sources: TensorFlow's
//! `event.proto` and `summary.proto`, and its TFRecord format; CRC-32C of RFC 3720, appendix B.4.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Report, TrainingError};

/// An event file, open at its end.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in the folder of a run that goes on after `step`. Points of later steps that other files of the
    /// folder have are of steps that will be done again: readers are told to drop them.
    pub fn begin(folder: &Path, step: u64) -> Result<Self, TrainingError> {
        let seconds = now() as u64;
        let mut number = 0;
        let (path, file) = loop {
            // Readers take the files of a folder in the order of their names.
            let name = format!("events.out.tfevents.{seconds:010}.{number}.{}", process::id());
            let path = folder.join(name);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(source) => return Err(TrainingError::Folder { action: "write", path, source }),
            }
        };
        let mut events = Self { path, file };
        events.write(&event(0, 3, b"brain.Event:2"))?; // file_version
        if step > 0 {
            const START: u64 = 1;
            events.write(&event(step + 1, 7, &varint_field(1, START)))?; // session_log
        }
        Ok(events)
    }

    /// Adds the figures of a report.
    pub fn add(&mut self, report: &Report) -> Result<(), TrainingError> {
        let (step, figures) = figures(report);
        let mut summary = vec![];
        for (tag, value) in figures {
            let mut point = bytes_field(1, tag.as_bytes());
            point.extend(key(2, FIXED_32));
            point.extend((value as f32).to_le_bytes());
            summary.extend(bytes_field(1, &point));
        }
        self.write(&event(step, 5, &summary))
    }

    fn write(&mut self, event: &[u8]) -> Result<(), TrainingError> {
        let fail = |source| TrainingError::Folder { action: "write", path: self.path.clone(), source };
        self.file.write_all(&record(event)).map_err(fail)
    }
}

/// What is drawn of a report, under the names that other trainers have.
fn figures(report: &Report) -> (u64, Vec<(String, f64)>) {
    match report {
        Report::Step { step, loss, learning_rate, grad_norm, .. } => {
            let figures = [("loss", loss), ("learning_rate", learning_rate), ("grad_norm", grad_norm)];
            (*step, figures.map(|(name, value)| (format!("train/{name}"), *value)).to_vec())
        }
        Report::Evaluated { step, evaluation, .. } => {
            let all = [(&evaluation.metric, &evaluation.value)].into_iter().chain(&evaluation.details);
            (*step, all.map(|(name, value)| (format!("eval/{}", name.replace(' ', "_")), *value)).collect())
        }
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |passed| passed.as_secs_f64())
}

/// The message `Event`: when, at which step, and one field with what happened.
fn event(step: u64, field: u64, what: &[u8]) -> Vec<u8> {
    let mut event = key(1, FIXED_64);
    event.extend(now().to_le_bytes());
    event.extend(varint_field(2, step));
    event.extend(bytes_field(field, what));
    event
}

// The kinds of fields that protocol buffers have.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// What stands before the value of a field.
fn key(field: u64, kind: u64) -> Vec<u8> {
    varint(field << 3 | kind)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn varint_field(field: u64, number: u64) -> Vec<u8> {
    [key(field, VARINT), varint(number)].concat()
}

fn bytes_field(field: u64, bytes: &[u8]) -> Vec<u8> {
    [&key(field, BYTES), &varint(bytes.len() as u64), bytes].concat()
}

/// A record: the length of its data, the data, and a checksum of each.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sums = [&length[..], data].map(|bytes| masked(crc32c(bytes)).to_le_bytes());
    [&length, &sums[0][..], data, &sums[1]].concat()
}

/// Checksums are stored so: a checksum of data that holds checksums is a weak one.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Bit by bit: records are short and few.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::training::Evaluation;

    #[test]
    fn checksums_are_those_of_the_standard() {
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The fields of a message: their numbers, and numbers or bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
            let (taken, rest) = bytes.split_at(count);
            *bytes = rest;
            taken
        }
        fn number(bytes: &mut &[u8]) -> u64 {
            let mut number = 0;
            for place in 0.. {
                let byte = take(bytes, 1)[0];
                number |= u64::from(byte & 0x7f) << (7 * place);
                if byte < 0x80 {
                    break;
                }
            }
            number
        }
        let mut fields = vec![];
        while !bytes.is_empty() {
            let key = number(&mut bytes);
            fields.push(match key & 7 {
                VARINT => (key >> 3, number(&mut bytes), &[][..]),
                FIXED_64 => (key >> 3, 0, take(&mut bytes, 8)),
                FIXED_32 => (key >> 3, 0, take(&mut bytes, 4)),
                _ => {
                    let length = number(&mut bytes) as usize;
                    (key >> 3, 0, take(&mut bytes, length))
                }
            });
        }
        fields
    }

    /// The events of a file.
    fn records(bytes: &[u8]) -> Vec<&[u8]> {
        let mut records = vec![];
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let data = &rest[12..12 + length];
            assert_eq!(record(data), rest[..16 + length]);
            records.push(data);
            rest = &rest[16 + length..];
        }
        records
    }

    fn only(folder: &Path) -> Vec<u8> {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        fs::read(files.last().unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::begin(folder.path(), 0).unwrap();
        let (step, steps, tokens, truncated) = (300, 400, 5, 0);
        let (loss, learning_rate, grad_norm, seconds) = (0.75, 1e-3, 2.5, 1.0);
        events
            .add(&Report::Step { step, steps, loss, learning_rate, grad_norm, tokens, truncated, seconds })
            .unwrap();
        let evaluation = Evaluation::new("masked accuracy", 0.5, 9).with_detail("masked loss", 3.0);
        events.add(&Report::Evaluated { step, evaluation, best: true }).unwrap();

        let bytes = only(folder.path());
        let records = records(&bytes);
        let [version, points @ ..] = &records[..] else { panic!("it is empty") };
        let version = fields(version);
        assert_eq!((version[2].0, version[2].2), (3, &b"brain.Event:2"[..]));
        let mut found = vec![];
        for event in points {
            let [(1, _, time), (2, step, _), (5, _, summary)] = fields(event)[..] else {
                panic!("{event:?}")
            };
            assert!(f64::from_le_bytes(time.try_into().unwrap()) > 1.6e9);
            for (field, _, point) in fields(summary) {
                let [(1, _, tag), (2, _, value)] = fields(point)[..] else { panic!("{point:?}") };
                assert_eq!(field, 1);
                let value = f32::from_le_bytes(value.try_into().unwrap());
                found.push((step, String::from_utf8(tag.to_vec()).unwrap(), value));
            }
        }
        let wanted = [
            ("train/loss", 0.75),
            ("train/learning_rate", 1e-3),
            ("train/grad_norm", 2.5),
            ("eval/masked_accuracy", 0.5),
            ("eval/masked_loss", 3.0),
        ];
        assert_eq!(found, wanted.map(|(tag, value)| (300, tag.to_owned(), value)));

        // A run that goes on has a file of its own, which begins with what is to be dropped.
        drop(EventFile::begin(folder.path(), 200).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let bytes = only(folder.path());
        let start = fields(self::records(&bytes)[1]);
        assert_eq!((start[1].1, start[2].0, start[2].2), (201, 7, &[8, 1][..]));
    }
}

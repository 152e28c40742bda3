//! `emissions.csv`, in the columns of codecarbon.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{EnergyError, EnergyReport, processor};
use crate::existing::existing_text;

/// In their order. An existing file may have others: a row is then laid out as its first line says, and what is not known
/// here stays empty.
pub const COLUMNS: [&str; 32] = [
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "on_cloud",
    "pue",
];

/// Adds the row of a run to a file, which is made if there is none. Energy is in kWh, power in W, emissions in kg. What
/// is absent, and emissions without a factor, stay empty.
///
/// # Errors
/// A file that cannot be written, or is something else.
pub fn append(path: &Path, report: &EnergyReport, project: &str) -> Result<(), EnergyError> {
    let fail = |source| EnergyError::File { path: path.to_owned(), source };
    let (found, columns) = read(path)?;
    let mut writer = csv::Writer::from_writer(vec![]);
    let write = |writer: &mut csv::Writer<Vec<u8>>, row: &[String]| {
        writer.write_record(row).map_err(|error| fail(error.into()))
    };
    if found.is_empty() {
        write(&mut writer, &columns)?;
    }
    let row: Vec<String> = columns.iter().map(|column| value(column, report, project)).collect();
    write(&mut writer, &row)?;
    let mut bytes = writer.into_inner().map_err(|error| fail(error.into_error()))?;
    if !found.is_empty() && !found.ends_with('\n') {
        bytes.insert(0, b'\n');
    }
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(&bytes)).map_err(fail)
}

/// Whether [`append`] can add to a file, as far as can be said before there is something to add.
///
/// # Errors
/// A file that cannot be read, or is something else.
pub fn check(path: &Path) -> Result<(), EnergyError> {
    read(path).map(|_| ())
}

/// What is in the file, and its columns.
fn read(path: &Path) -> Result<(String, Vec<String>), EnergyError> {
    let fail = |source| EnergyError::File { path: path.to_owned(), source };
    let found = existing_text(path).map_err(fail)?.unwrap_or_default();
    if found.is_empty() {
        return Ok((found, COLUMNS.map(str::to_owned).to_vec()));
    }
    let mut reader = csv::Reader::from_reader(found.as_bytes());
    let header = reader.headers().map_err(|error| fail(error.into()))?;
    if !header.iter().any(|name| name == "emissions") {
        return Err(EnergyError::NotEmissions { path: path.to_owned(), column: "emissions" });
    }
    let columns = header.iter().map(str::to_owned).collect();
    Ok((found, columns))
}

fn value(column: &str, report: &EnergyReport, project: &str) -> String {
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let power = |joules: Option<f64>| number(joules.map(|joules| joules / report.seconds.max(1e-9)));
    let kwh = |joules: Option<f64>| number(joules.map(|joules| joules / 3.6e6));
    let kilograms = report.grams().map(|grams| grams / 1000.0);
    let carbon = report.carbon.as_ref();
    match column {
        "timestamp" => timestamp(now()),
        "project_name" => project.to_owned(),
        "run_id" => run_id(),
        "duration" => report.seconds.to_string(),
        "emissions" => number(kilograms),
        "emissions_rate" => number(kilograms.map(|kilograms| kilograms / report.seconds.max(1e-9))),
        "cpu_power" => power(report.cpu.joules),
        "gpu_power" => power(report.gpu.joules),
        "ram_power" => power(report.ram.joules),
        "cpu_energy" => kwh(report.cpu.joules),
        "gpu_energy" => kwh(report.gpu.joules),
        "ram_energy" => kwh(report.ram.joules),
        "energy_consumed" => kwh(report.joules()),
        "country_name" => carbon.and_then(|carbon| carbon.country.clone()).unwrap_or_default(),
        "country_iso_code" => carbon.and_then(|carbon| carbon.code.clone()).unwrap_or_default(),
        "os" => std::env::consts::OS.to_owned(),
        "cpu_count" => {
            std::thread::available_parallelism().map(|count| count.to_string()).unwrap_or_default()
        }
        "cpu_model" => processor::model().unwrap_or_default(),
        "tracking_mode" => report.scope.to_owned(),
        "on_cloud" => "N".to_owned(),
        "pue" => "1".to_owned(),
        _ => String::new(),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 as date and time (UTC). Source of the date: Howard Hinnant's `civil_from_days`.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// What tells runs apart, in the form of a UUID.
fn run_id() -> String {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let hash = blake3::hash(format!("{nanoseconds} {}", std::process::id()).as_bytes()).to_hex();
    let hash = hash.as_str();
    [&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..32]].join("-")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::energy::{CarbonIntensity, Figure};

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(timestamp(1_735_689_599), "2024-12-31T23:59:59");
    }

    #[test]
    fn rows_follow_the_columns_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("emissions.csv");
        let report = EnergyReport {
            seconds: 10.0,
            cpu: Figure::estimated(3.6e6, "x".into()),
            gpu: Figure::absent("none".into()),
            ram: Figure::absent("none".into()),
            carbon: Some(CarbonIntensity::of_region("FRA").unwrap()),
            scope: "process",
        };
        append(&path, &report, "bert embed").unwrap();
        append(&path, &report, "bert, \"embed\"").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&COLUMNS.join(",")) && text.lines().count() == 3, "{text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let of = |row: usize, column: &str| {
            rows[row][COLUMNS.iter().position(|&it| it == column).unwrap()].to_owned()
        };
        assert_eq!(
            (of(0, "emissions"), of(0, "energy_consumed"), of(0, "gpu_energy")),
            ("0.056039".into(), "1".into(), String::new())
        );
        assert_eq!(
            (of(1, "project_name"), of(1, "country_iso_code")),
            ("bert, \"embed\"".into(), "FRA".into())
        );
        assert_eq!(of(0, "cpu_power"), "360000");
        assert_ne!(of(0, "run_id"), of(1, "run_id"));

        let newer = folder.path().join("newer.csv");
        fs::write(&newer, "wue,emissions,duration\n1,2,3").unwrap();
        append(&newer, &report, "x").unwrap();
        assert!(fs::read_to_string(&newer).unwrap().ends_with("1,2,3\n,0.056039,10\n"));
        let other = folder.path().join("other.csv");
        fs::write(&other, "a,b\n1,2\n").unwrap();
        assert!(matches!(append(&other, &report, "x"), Err(EnergyError::NotEmissions { .. })));
        assert!(matches!(append(folder.path(), &report, "x"), Err(EnergyError::File { .. })));
    }
}

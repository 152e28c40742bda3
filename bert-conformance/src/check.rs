//! One case on one backend.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bert_core::contract::{Backend, Precision};
use fastrand::Rng;
use ndarray::{ArrayD, Axis, Slice};

use crate::case::Case;
use crate::compare::{compare, index_of};
use crate::data::DeviceInputs;
use crate::difference::Difference;
use crate::fault::Fault;
use crate::prepare::prepare;
use crate::tolerance::Tolerance;

/// What came of a case.
pub struct Checked {
    /// How far the result is from the truth, or what is wrong.
    pub result: Result<Difference, Fault>,
    /// The inputs with their shapes and strides.
    pub inputs: Vec<String>,
}

/// Runs a case: the result has to be right, every part of it the same to the last bit when it is computed alone,
/// and the inputs unchanged.
pub fn check<B: Backend>(
    backend: &B,
    case: &Case,
    precision: Precision,
    tolerance: Tolerance,
    mut rng: Rng,
) -> Checked {
    let mut device_inputs = DeviceInputs::new(backend);
    let result = catch(|| {
        let prepared = prepare(&mut device_inputs, case, precision, &mut rng)?;
        let parts = prepared.bounds.len() - 1;
        let all = (prepared.compute)(0..parts)?;
        let mut alone = [0, parts / 2, parts - 1].to_vec();
        alone.dedup();
        let mut results = vec![all];
        if parts == 1 {
            alone.clear();
        }
        for &part in &alone {
            results.push((prepared.compute)(part..part + 1)?);
        }
        let results = device_inputs.collect(&results)?;
        let difference =
            compare(&results[0], &prepared.want, case.op.scale(), case.values.floor(), tolerance)?;
        for (&part, result) in alone.iter().zip(&results[1..]) {
            let rows = prepared.bounds[part]..prepared.bounds[part + 1];
            let together = results[0].slice_axis(Axis(0), Slice::from(rows)).to_owned();
            same_bits(&format!("part {part} of {parts} alone"), result, &together)?;
        }
        Ok(difference)
    });
    Checked { result, inputs: device_inputs.inputs().to_vec() }
}

/// Whether two results are the same to the last bit.
pub fn same_bits(what: &str, found: &ArrayD<f64>, wanted: &ArrayD<f64>) -> Result<(), Fault> {
    if found.shape() != wanted.shape() {
        return Err(Fault::Shape { expected: wanted.shape().to_vec(), found: found.shape().to_vec() });
    }
    let differs = |(a, b): (&f64, &f64)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
    let Some(position) = found.iter().zip(wanted).position(differs) else { return Ok(()) };
    let index = index_of(position, found.shape());
    let (found, wanted) = (found[&index[..]], wanted[&index[..]]);
    Err(Fault::OtherBits { what: what.to_owned(), index, found, wanted })
}

/// A panic is a fault like any other.
pub fn catch<T>(run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Fault::Panic(text.unwrap_or_else(|| "without a message".to_owned())))
    })
}

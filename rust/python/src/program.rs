//! Recording and replay in Python.

use crate::array::{PyArray, PyCell};
use crate::enter::{enter, enter_briefly};
use lumbre_kernels::DType;
use lumbre_runtime::program::Described;
use lumbre_runtime::record::Recording;
use lumbre_runtime::{Feed, Program, Request, Timing, door};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The calls of one recorded step.
#[pyclass(name = "Recording", module = "lumbre._core", frozen)]
pub struct PyRecording(Mutex<Option<Recording>>);

/// A step that can be replayed.
#[pyclass(name = "Program", module = "lumbre._core", frozen)]
pub struct PyProgram(Program, Mutex<Option<Arc<Timing>>>);

/// Starts recording this thread's kernel calls.
#[pyfunction]
pub fn record_start() -> PyResult<()> {
    enter_briefly(door::record)
}

/// Names the next input of the step being recorded.
#[pyfunction]
pub fn record_input(array: PyRef<'_, PyArray>) {
    door::with_recording(|r| r.input(&array.0));
}

/// Whether this thread is recording.
#[pyfunction]
pub fn recording() -> bool {
    let mut on = false;
    door::with_recording(|_| on = true);
    on
}

/// Whether this thread is recording a step that cannot be replayed any more.
#[pyfunction]
pub fn recording_broken() -> bool {
    let mut broken = false;
    door::with_recording(|r| broken = r.broken().is_some());
    broken
}

/// Ends recording. `outputs` are what the step returns.
#[pyfunction]
pub fn record_stop(outputs: Vec<PyRef<'_, PyArray>>) -> PyResult<PyRecording> {
    let mut recording =
        door::take_recording().ok_or_else(|| PyRuntimeError::new_err("this thread is not recording"))?;
    for output in &outputs {
        recording.output(&output.0);
    }
    Ok(PyRecording(Mutex::new(Some(recording))))
}

impl PyRecording {
    fn with<T>(&self, f: impl FnOnce(&Recording) -> T) -> PyResult<T> {
        let held = self.0.lock().unwrap_or_else(|e| e.into_inner());
        held.as_ref().map(f).ok_or_else(|| PyRuntimeError::new_err("this recording was made into a program"))
    }
}

#[pymethods]
impl PyRecording {
    /// Why the step cannot be replayed; None if it can.
    #[getter]
    fn broken(&self) -> PyResult<Option<String>> {
        self.with(|r| r.broken().map(str::to_owned))
    }

    /// What differs from another recording of the step; None if nothing does.
    fn disagreement(&self, other: PyRef<'_, PyRecording>) -> PyResult<Option<String>> {
        self.with(|mine| other.with(|theirs| mine.disagreement(theirs)))?
    }

    /// The names of the rows called, in order.
    fn calls(&self) -> PyResult<Vec<&'static str>> {
        self.with(|r| r.calls.iter().map(|c| c.op.name).collect())
    }

    /// The program that replays the step. Uses the recording up.
    fn plan(&self) -> PyResult<PyProgram> {
        let recording = self.0.lock().unwrap_or_else(|e| e.into_inner()).take();
        let recording = recording.ok_or_else(|| PyRuntimeError::new_err("this recording was made into a program"))?;
        enter_briefly(|| Program::new(recording)).map(|p| PyProgram(p, Mutex::new(None)))
    }
}

impl PyProgram {
    fn timing(&self) -> Option<Arc<Timing>> {
        self.1.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

/// An input of a replay: an array for every step, or the rows of a data set (with a check for finite values).
#[derive(FromPyObject)]
enum PyFeed<'py> {
    Array(PyRef<'py, PyArray>),
    Rows(PyRef<'py, PyArray>, bool),
}

#[pymethods]
impl PyProgram {
    /// Bytes of memory for intermediate values.
    #[getter]
    fn arena_bytes(&self) -> usize {
        self.0.arena_bytes()
    }

    /// Whether the number of threads has changed since it was planned.
    #[getter]
    fn is_stale(&self) -> bool {
        self.0.is_stale()
    }

    #[allow(clippy::type_complexity)] // a tuple for Python
    /// The calls in order, each as (row, shapes read, FLOP, bytes, shared by all workers, workers meet before it).
    fn describe(&self) -> Vec<(String, Vec<String>, u64, u64, bool, bool)> {
        let row = |d: Described| (d.name, d.shapes, d.flops, d.bytes, d.shared, d.barrier);
        self.0.describe().into_iter().map(row).collect()
    }

    /// The cells that the step reads or updates.
    fn cells(&self) -> Vec<PyCell> {
        self.0.cells().iter().cloned().map(PyCell).collect()
    }

    /// The shapes of the step's inputs.
    fn inputs(&self) -> Vec<String> {
        self.0.inputs().iter().map(|meta| meta.shape.to_string()).collect()
    }

    #[allow(clippy::type_complexity)] // a tuple for Python
    /// What was timed since `start_timing`: steps, those of them made by the whole team, seconds between steps
    /// (barriers, kept outputs, gathering the batch), and for each call the seconds at work and, before that, at the
    /// barrier. All are the first worker's. None if nothing is timed.
    fn times(&self) -> Option<(u64, u64, f64, Vec<(f64, f64)>)> {
        let times = self.timing()?.read();
        let calls = times.calls.iter().map(|[work, wait]| (work.as_secs_f64(), wait.as_secs_f64())).collect();
        Some((times.steps, times.team_steps, times.between.as_secs_f64(), calls))
    }

    /// Times every call from now on.
    fn start_timing(&self) {
        *self.1.lock().unwrap_or_else(|e| e.into_inner()) = Some(Arc::new(Timing::new(self.0.describe().len())));
    }

    /// Times no more.
    fn stop_timing(&self) {
        *self.1.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    /// Plays the step back for up to `steps` batches, each of `batch` consecutive row numbers from `rows`; no further than
    /// the step that leaves NaN or infinity in the cell `watched`, a float64 scalar.
    ///
    /// Returns:
    ///     How many batches were done; None, or the input and the position in `rows` of a row with a value that is
    ///     not finite (its batch was not begun); and the outputs, stacked along a new first axis, if kept.
    #[pyo3(signature = (feeds, rows=None, batch=0, steps=1, seconds=0.05, keep_outputs=false, watched=None))]
    #[allow(clippy::type_complexity, clippy::too_many_arguments)] // a Python method with defaults
    fn replay(
        &self,
        py: Python<'_>,
        feeds: Vec<PyFeed<'_>>,
        rows: Option<PyRef<'_, PyArray>>,
        batch: usize,
        steps: usize,
        seconds: f64,
        keep_outputs: bool,
        watched: Option<PyRef<'_, PyCell>>,
    ) -> PyResult<(usize, Option<(usize, usize)>, Vec<PyArray>)> {
        let feeds: Vec<Feed> = feeds
            .into_iter()
            .map(|f| match f {
                PyFeed::Array(a) => Feed::Array(a.0.clone()),
                PyFeed::Rows(a, check) => Feed::Rows { source: a.0.clone(), check },
            })
            .collect();
        let held = rows.map(|r| r.0.clone());
        if held.as_ref().is_some_and(|r| r.meta().dtype != DType::I64 || !r.is_dense()) {
            return Err(PyTypeError::new_err("row numbers must be a dense int64 array"));
        }
        let rows: &[i64] = held.as_ref().map_or(&[], |r| r.elements());
        let budget = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let timing = self.timing();
        let timing = timing.as_deref();
        let watched = watched.map(|cell| cell.0.clone());
        let watched = watched.as_ref();
        let request = Request { feeds: &feeds, rows, batch, steps, budget, keep_outputs, watched, timing };
        let done = enter(py, || self.0.replay(&request))?;
        Ok((done.steps, done.bad_row, done.outputs.into_iter().map(PyArray).collect()))
    }
}

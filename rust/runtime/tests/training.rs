//! A small network trained through the door alone: eager and replayed, on every level and with 1, 2 and 3 threads, the
//! weights get the same bits, and their hash is the one committed here for every processor.

use lumbre_kernels::{Attr, Attrs, Level, row};
use lumbre_runtime::buffer::{Array, Cell, scalar, zeros};
use lumbre_runtime::program::{Feed, Program, Request};
use lumbre_runtime::{Timing, door, pool};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The settings of the pool are the process's: one test at a time.
static SETTINGS: Mutex<()> = Mutex::new(());

/// FNV-1a over the bytes of all weights after 50 steps.
const HASH: u64 = 0x8a25_1993_f858_5420;

const N: usize = 160;
const BATCH: usize = 32;
const STEPS: usize = 50;
const SIZES: [usize; 3] = [50, 37, 10];
const RELU: i64 = 1;

fn call(name: &str, ins: &[&Array], inouts: &[&Arc<Cell>], attrs: &[Attr]) -> Vec<Array> {
    let inouts: Vec<Arc<Cell>> = inouts.iter().map(|c| (*c).clone()).collect();
    door::call(row(name).unwrap(), ins, &inouts, Attrs(attrs.to_vec())).unwrap()
}

fn normal(shape: &[usize], key: i64, stddev: f64) -> Array {
    let state = Array::from_slice(&[2], &[key, 0i64]).unwrap();
    let shape = Attr::Ints(shape.iter().map(|&n| n as i64).collect());
    let dtype = Attr::Int(lumbre_kernels::DType::F32 as i64);
    call("random_normal", &[&state], &[], &[shape, Attr::Float(0.0), Attr::Float(stddev), dtype]).swap_remove(0)
}

/// The network's state.
struct Network {
    params: Vec<Arc<Cell>>, // W1, b1, W2, b2
    m: Vec<Arc<Cell>>,
    v: Vec<Arc<Cell>>,
    rate: Arc<Cell>,
    iterations: Arc<Cell>,
    random: Arc<Cell>,
}

impl Network {
    fn new() -> Network {
        let cell = |array| Cell::new(array).unwrap();
        let [i, h, o] = SIZES;
        let bias = |n| cell(Array::from_slice(&[n], &vec![0.0f32; n]).unwrap());
        let params = vec![cell(normal(&[i, h], 1, 0.2)), bias(h), cell(normal(&[h, o], 2, 0.2)), bias(o)];
        let slots = || params.iter().map(|p| cell(zeros(p.meta()).unwrap())).collect();
        Network {
            m: slots(),
            v: slots(),
            rate: cell(scalar(0.01f32).unwrap()),
            iterations: cell(scalar(0i64).unwrap()),
            random: cell(Array::from_slice(&[2], &[7i64, 0]).unwrap()),
            params,
        }
    }

    /// One step: linear + relu, dropout, linear, cross-entropy; backward; Adam.
    fn step(&self, x: &Array, y: &Array) -> Array {
        let none = Attr::None;
        let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|i| self.params[i].read().unwrap());
        let h = call("linear", &[x, &w1, &b1], &[], &[Attr::Int(RELU)]).swap_remove(0);
        let state = self.random.read().unwrap();
        let dropped = call("dropout", &[&h, &state], &[], &[Attr::Float(0.2)]);
        call("rng_advance", &[], &[&self.random], &[Attr::Int((BATCH * SIZES[1]) as i64)]);
        let z = call("linear", &[&dropped[0], &w2, &b2], &[], &[Attr::Int(0)]).swap_remove(0);
        let loss = call("softmax_crossentropy_sparse", &[&z, y], &[], &[Attr::Int(1)]);
        let dz = &loss[1];
        let (t, f) = (Attr::Int(1), Attr::Int(0));
        let dw2 = call("matmul", &[&dropped[0], dz], &[], &[t.clone(), f.clone()]).swap_remove(0);
        let db2 = call("sum", &[dz], &[], &[Attr::Ints(vec![0])]).swap_remove(0);
        let dh = call("matmul", &[dz, &w2], &[], &[f, t]).swap_remove(0);
        let dh = call("dropout", &[&dh, &dropped[1]], &[], &[Attr::Float(0.2)]).swap_remove(0);
        let dh = call("activation_grad", &[&dh, &h], &[], &[Attr::Int(RELU)]).swap_remove(0);
        let [dw1, db1] = <[Array; 2]>::try_from(call("linear_grad_weights", &[x, &dh], &[], &[])).ok().unwrap();
        let ins = [&self.rate.read().unwrap(), &self.iterations.read().unwrap(), &dw1, &db1, &dw2, &db2];
        let cells: Vec<&Arc<Cell>> = self.params.iter().chain(&self.m).chain(&self.v).collect();
        call(
            "adam",
            &ins,
            &cells,
            &[
                Attr::None,
                Attr::None,
                Attr::None,
                Attr::None,
                Attr::Float(0.9),
                Attr::Float(0.999),
                Attr::Float(1e-7),
                Attr::Int(0),
            ],
        );
        call("increment", &[], &[&self.iterations], &[none]);
        loss[0].clone()
    }

    fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for cell in &self.params {
            for byte in cell.read().unwrap().bytes() {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        hash
    }
}

/// The data: rows and labels that a network can learn.
fn data() -> (Array, Array) {
    let x = normal(&[N, SIZES[0]], 11, 1.0);
    let y: Vec<i32> = (0..N).map(|i| (i * 7 % SIZES[2]) as i32).collect();
    (x, Array::from_slice(&[N], &y).unwrap())
}

/// The row numbers of all steps.
fn rows() -> Vec<i64> {
    (0..STEPS * BATCH).map(|i| (i * 13 % N) as i64).collect()
}

fn gather(source: &Array, rows: &[i64], dtype: lumbre_kernels::DType) -> Array {
    let picked = Array::from_slice(&[rows.len()], rows).unwrap();
    call("gather_rows", &[source, &picked], &[], &[Attr::Int(dtype as i64), Attr::Int(0)]).swap_remove(0)
}

fn batch(x: &Array, y: &Array, rows: &[i64]) -> (Array, Array) {
    use lumbre_kernels::DType::{F32, I32};
    (gather(x, rows, F32), gather(y, rows, I32))
}

fn eager() -> u64 {
    let (network, (x, y), rows) = (Network::new(), data(), rows());
    for rows in rows.chunks(BATCH) {
        let (x, y) = batch(&x, &y, rows);
        network.step(&x, &y);
    }
    network.hash()
}

fn replayed() -> u64 {
    let (network, (x, y), rows) = (Network::new(), data(), rows());
    let mut recordings = Vec::new();
    for rows in rows.chunks(BATCH).take(2) {
        let (x, y) = batch(&x, &y, rows);
        door::record().unwrap();
        door::with_recording(|r| [&x, &y].into_iter().for_each(|a| r.input(a)));
        let loss = network.step(&x, &y);
        let mut recording = door::take_recording().unwrap();
        recording.output(&loss);
        recordings.push(recording);
    }
    assert_eq!(recordings[0].disagreement(&recordings[1]), None);
    assert_eq!(recordings[1].broken(), None);
    let program = Program::new(recordings.pop().unwrap()).unwrap();
    let feeds = [Feed::Rows { source: x, check: true }, Feed::Rows { source: y, check: false }];
    let timing = Timing::new(program.describe().len());
    let (mut done, start) = (2, Instant::now());
    while done < STEPS {
        let request = Request {
            feeds: &feeds,
            rows: &rows[done * BATCH..],
            batch: BATCH,
            steps: STEPS - done,
            budget: Duration::from_micros(200), // so that several calls are made
            keep_outputs: true,
            watched: None,
            timing: Some(&timing),
        };
        let replayed = program.replay(&request).unwrap();
        assert_eq!(&replayed.outputs[0].meta().shape[..], &[replayed.steps, BATCH]);
        done += replayed.steps;
        // Weights that lie in panels are asked for in row-major order in between, often and then no more.
        if done < STEPS / 2 {
            network.hash();
        }
    }
    let times = timing.read();
    assert_eq!(times.steps as usize, STEPS - 2);
    assert!(times.team_steps <= times.steps);
    assert!(times.calls.iter().all(|[work, _]| !work.is_zero()));
    assert!(times.between + times.calls.iter().flatten().sum::<Duration>() <= start.elapsed());
    network.hash()
}

#[test]
fn the_same_bits_everywhere() {
    let _alone = SETTINGS.lock();
    let mut ran = Vec::new();
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        for threads in [1, 2, 3] {
            pool::set_level(level.name()).unwrap();
            pool::set_threads(threads).unwrap();
            for (how, hash) in [("eager", eager()), ("replayed", replayed())] {
                assert_eq!(hash, HASH, "{} with {threads} threads, {how}: {hash:#018x}", level.name());
            }
        }
        ran.push(level.name());
    }
    println!("levels: {}", ran.join(", "));
}

#[test]
fn a_row_with_nan_stops_before_its_batch() {
    let _alone = SETTINGS.lock();
    let (x, _) = data();
    let mut values = x.elements::<f32>().to_vec();
    values[70 * SIZES[0] + 3] = f32::NAN;
    let x = Array::from_slice(&[N, SIZES[0]], &values).unwrap();
    let sum = Cell::new(scalar(0.0f32).unwrap()).unwrap();
    let mut recordings = Vec::new();
    for rows in [[0i64; BATCH], [1; BATCH]] {
        let x = gather(&x, &rows, lumbre_kernels::DType::F32);
        door::record().unwrap();
        door::with_recording(|r| r.input(&x));
        call("increment", &[], &[&sum], &[Attr::Float(1.0)]);
        recordings.push(door::take_recording().unwrap());
    }
    let program = Program::new(recordings.pop().unwrap()).unwrap();
    let rows: Vec<i64> = (0..N as i64).collect();
    let replayed = program
        .replay(&Request {
            feeds: &[Feed::Rows { source: x, check: true }],
            rows: &rows,
            batch: BATCH,
            steps: N / BATCH,
            budget: Duration::from_secs(1),
            keep_outputs: false,
            watched: None,
            timing: None,
        })
        .unwrap();
    assert_eq!((replayed.steps, replayed.bad_row), (2, Some((0, 70))));
    assert_eq!(sum.read().unwrap().elements::<f32>(), &[4.0]); // two recorded steps and two replayed ones
}

#[test]
fn a_failing_kernel_is_an_error_and_the_team_recovers() {
    let _alone = SETTINGS.lock();
    pool::set_threads(2).unwrap();
    let failed = pool::run(2, &|part| {
        assert!(part.index == 0, "one of the workers fails");
        part.barrier();
    });
    assert!(failed.is_err());
    assert!(pool::run(2, &|part| part.barrier()).is_ok());
}

//! `skyfix eval`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use skyfix::eval::attacks::attacks;
use skyfix::eval::consistency::{MonteCarlo, RESTED, consistency};
use skyfix::eval::faults::{Cell, FaultStudy, faults, table};
use skyfix::eval::inertial::report::comparison;
use skyfix::eval::inertial::{Degraded, Recorded, Scoring, Wings, compare_own, score};
use skyfix::eval::outages::{OutageFlights, outages};
use skyfix::simulate::ImuGrade;

use super::scenes;

/// Measure the filter, and make what acceptance is measured on.
#[derive(Subcommand)]
pub enum Verb {
    /// Monte Carlo over simulated flights: is the filter as sure as it has reason to be?
    Consistency(ConsistencyArguments),
    /// Outliers, wrong places that go on, malformed measurements: does any of them move the filter?
    Attacks(AttacksArguments),
    /// A recorded flight with an IMU, its GNSS made sparse, noisy, late and partly wrong.
    Inertial(InertialArguments),
    /// Ten minutes with wrong fixes, wrong places that go on and two outages: is the track ever wrongly sure, and does it come back?
    Outages(OutagesArguments),
    /// Make flights that show what a fix is worth: pictures without ground, ground of another date, ground that is not on the map.
    #[command(subcommand)]
    Scenes(scenes::Verb),
    /// Faults of IMU and GNSS while every fix is right: does the track stay near, say the truth of itself, and come back?
    Faults(FaultsArguments),
}

const CONSISTENCY_EXAMPLES: &str = "Examples:
  skyfix eval consistency
  skyfix eval consistency --seed 4000 --out out/consistency
  skyfix eval consistency --imu tactical --flights 20

The table says beside each number what a consistent filter would show. --out adds steps.csv, whiteness.csv and charts.
A filter that is linearised has its limits: with --imu consumer-cold, whose gyroscopes are off by 0.3°/s when the flight begins,
it becomes overconfident in attitude and bias until it has found them.";

/// Monte Carlo over simulated inertial flights.
#[derive(Args)]
#[command(after_help = CONSISTENCY_EXAMPLES)]
pub struct ConsistencyArguments {
    /// Flights
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    flights: u64,
    /// Seed of the first flight; the others count on
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Length of each flight
    #[arg(long, default_value_t = 100.0, value_name = "SECONDS", value_parser = seconds)]
    duration: f64,
    /// The IMU
    #[arg(long, value_enum, default_value_t = Imu::Consumer)]
    imu: Imu,
    /// Folder for tables and charts
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Imu {
    /// Consumer MEMS whose gyroscopes were at rest before take-off
    Consumer,
    /// The same, switched on in flight
    ConsumerCold,
    /// Tactical grade
    Tactical,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if (1.0..=7200.0).contains(&value) { Ok(value) } else { Err("give 1 to 7200 seconds".into()) }
}

/// Attacks on fusion.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  skyfix eval attacks\n  skyfix eval attacks --trials 2000 --seed 77\n\nExit code 1 when an attack succeeds."
)]
pub struct AttacksArguments {
    /// Trials of each attack
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    trials: u64,
    /// Seed
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

const INERTIAL_EXAMPLES: &str = "Examples:
  skyfix eval inertial ../shared/data/minnesota
  skyfix eval inertial flight/ --from 20 --until 600 --no-wings

The folder holds imu.csv (t_ns, gyro_x_rad_s .. accel_z_m_s2; forward, right, down), gnss.csv (t_ns, lat_deg, lon_deg, alt_m,
vel_n_m_s, vel_e_m_s, vel_d_m_s) and attitude_reference.csv (t_ns, roll_deg, pitch_deg, yaw_deg).
GNSS as it was is the truth. Beside other filters: cargo run --release --example compare_filters -- FOLDER";

/// A recorded flight whose GNSS is degraded.
#[derive(Args)]
#[command(after_help = INERTIAL_EXAMPLES)]
pub struct InertialArguments {
    /// Folder of the flight
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Where the scoring begins: the aircraft flies
    #[arg(long, default_value_t = 339.0, value_name = "SECONDS")]
    from: f64,
    /// Where it ends
    #[arg(long, default_value_t = 835.0, value_name = "SECONDS")]
    until: f64,
    /// Seed of the first run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Runs, each with noise of its own
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// 1 sigma of a fix
    #[arg(long, default_value_t = 10.0, value_name = "METRES")]
    sigma: f64,
    /// The aircraft has no wings, or slips at will: take no direction of flight from its attitude
    #[arg(long)]
    no_wings: bool,
}

const OUTAGES_EXAMPLES: &str = "Examples:
  skyfix eval outages
  skyfix eval outages --flights 200 --seed 5000
  skyfix eval outages --fix-sigma 2 --imu tactical
  skyfix eval outages --imu-unknown

Each flight: 10 minutes, IMU of 200 Hz, 2 fixes a second, map 2 m off, 5 % wrong fixes 50 to
500 m off, half of them in wrong places that go on for 2 to 5 s beside the aircraft or standing still, two outages of 20 s; a wrong place
comes right after the second. Exit code 1 when a bound is broken.";

/// Simulated flights with outages.
#[derive(Args)]
#[command(after_help = OUTAGES_EXAMPLES)]
pub struct OutagesArguments {
    /// Flights
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    flights: u64,
    /// Seed of the first flight; the others count on
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// 1 sigma of a fix an axis
    #[arg(long, default_value_t = 4.0, value_name = "METRES", value_parser = metres)]
    fix_sigma: f64,
    /// The IMU
    #[arg(long, value_enum, default_value_t = Imu::Consumer)]
    imu: Imu,
    /// The filter does not know how good the IMU is, and takes it for one on an airframe that vibrates
    #[arg(long)]
    imu_unknown: bool,
}

const FAULTS_EXAMPLES: &str = "Examples:
  skyfix eval faults
  skyfix eval faults --flights 20 --seed 500
  skyfix eval faults --heading-only

Faults: off, stuck, bias (5 m/s² and 0.5 rad/s; GNSS: 40 m), drift up to that, noise of that, spikes of ten times that, garbage, a second
late, intermittent; of the IMU, and of GNSS while that is on; for 8 s at the start, straight on and in a turn. Each is compared with the
same flight without the fault. Exit code 1 when a bound is broken in any cell.";

/// Simulated flights with faults.
#[derive(Args)]
#[command(after_help = FAULTS_EXAMPLES)]
pub struct FaultsArguments {
    /// Flights a cell
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    flights: u64,
    /// Seed of the first flight; the others count on
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// 1 sigma of a fix an axis
    #[arg(long, default_value_t = 4.0, value_name = "METRES", value_parser = metres)]
    fix_sigma: f64,
    /// The IMU
    #[arg(long, value_enum, default_value_t = Imu::Consumer)]
    imu: Imu,
    /// A compass tells the heading, and nobody the attitude
    #[arg(long)]
    heading_only: bool,
}

impl Imu {
    fn grade(self) -> ImuGrade {
        match self {
            Self::Consumer => RESTED,
            Self::ConsumerCold => ImuGrade::CONSUMER,
            Self::Tactical => ImuGrade::TACTICAL,
        }
    }
}

fn metres(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if (0.01..=1000.0).contains(&value) { Ok(value) } else { Err("give 0.01 to 1000 metres".into()) }
}

/// Runs the verb.
pub fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Consistency(arguments) => run_consistency(arguments),
        Verb::Attacks(arguments) => run_attacks(arguments),
        Verb::Inertial(arguments) => run_inertial(arguments),
        Verb::Outages(arguments) => run_outages(arguments),
        Verb::Scenes(verb) => scenes::run(verb).map(|()| ExitCode::SUCCESS),
        Verb::Faults(arguments) => run_faults(arguments),
    }
}

fn run_consistency(arguments: &ConsistencyArguments) -> anyhow::Result<ExitCode> {
    let (flights, seed, duration_s) = (arguments.flights, arguments.seed, arguments.duration);
    let result = consistency(&MonteCarlo { flights, seed, duration_s, grade: arguments.imu.grade(), ..MonteCarlo::default() })?;
    say!("{}", result.table());
    if let Some(folder) = &arguments.out {
        write(folder, "steps.csv", &result.steps_csv())?;
        write(folder, "whiteness.csv", &result.whiteness_csv())?;
        for (name, chart) in result.charts() {
            write(folder, name, &chart.svg())?;
        }
        say!("tables and charts in {}", folder.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn run_attacks(arguments: &AttacksArguments) -> anyhow::Result<ExitCode> {
    let result = attacks(arguments.trials, arguments.seed)?;
    say!("{} trials of each attack, seed {}", result.trials, arguments.seed);
    say!("single outliers of 10 to 1000 sigma, used                        {}", result.outliers_used);
    say!("a place 100 m off, 10 s at 2 fixes/s: captured a sure filter     {}", result.captured_while_sure);
    say!("  trials in which the filter ceased to be sure before the end    {}", result.outlasted);
    say!("malformed, repeated and belated samples and fixes: moved it      {}", result.malformed_moved);
    say!("  not counted                                                    {}", result.malformed_uncounted);
    Ok(if result.withstood() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn run_inertial(arguments: &InertialArguments) -> anyhow::Result<ExitCode> {
    let flight = Recorded::read(&arguments.folder)?;
    anyhow::ensure!(arguments.sigma > 0.0 && arguments.sigma.is_finite(), "--sigma {}: give metres above 0", arguments.sigma);
    let scoring = Scoring {
        from_s: arguments.from,
        until_s: arguments.until,
        seed: arguments.seed,
        runs: arguments.runs,
        degraded: Degraded { sigma_m: arguments.sigma, ..Degraded::default() },
        wings: (!arguments.no_wings).then(Wings::default),
        ..Scoring::default()
    };
    let runs = scoring.runs(&flight)?;
    say!("{}", score(&scoring, &runs).table());
    say!("{}", comparison(&[compare_own("skyfix", &runs, &scoring.noise, scoring.wings)]));
    Ok(ExitCode::SUCCESS)
}

fn run_outages(arguments: &OutagesArguments) -> anyhow::Result<ExitCode> {
    let result = outages(&OutageFlights {
        flights: arguments.flights,
        seed: arguments.seed,
        fix_sigma_m: arguments.fix_sigma,
        grade: arguments.imu.grade(),
        imu_known: !arguments.imu_unknown,
    })?;
    say!("{}", result.table());
    Ok(if result.within_bounds() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn run_faults(arguments: &FaultsArguments) -> anyhow::Result<ExitCode> {
    let study = FaultStudy {
        flights: arguments.flights,
        seed: arguments.seed,
        fix_sigma_m: arguments.fix_sigma,
        grade: arguments.imu.grade(),
        attitude: !arguments.heading_only,
        ..FaultStudy::default()
    };
    let cells = faults(&study)?;
    say!("{}", table(&study, &cells));
    Ok(if cells.iter().all(Cell::holds) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

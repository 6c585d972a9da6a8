#include <iostream>
#include <limits>
#include <utility>

#include <CLI/CLI.hpp>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/version.hpp"

namespace troupe::cli {

namespace {

constexpr const char* exit_codes =
    "Exit codes:\n"
    "  0    done\n"
    "  1    the run failed, one of its processes could not start, no scheduler answered, or a "
    "history or a scenario breaks a rule\n"
    "  2    the arguments or the job file are wrong\n"
    "  3    a data, run, model, events or history file could not be read or written\n"
    "  130  interrupted by Ctrl-C or SIGTERM; the model so far was saved";

/// `--set KEY=VALUE`, once or several times, each with one or more pairs. A word behind a pair that
/// is none is the job, where `job_file` is there to take it and has none yet.
void add_overrides(CLI::App& app, std::vector<std::string>& overrides,
                   std::filesystem::path* job_file = nullptr) {
  const auto take = [&overrides, job_file](const std::vector<std::string>& pairs) {
    for (const auto& pair : pairs)
      if (pair.find('=') != std::string::npos)
        overrides.push_back(pair);
      else if (job_file != nullptr && job_file->empty())
        *job_file = pair;
      else
        throw CLI::ValidationError("expected KEY=VALUE, found " + pair);
  };
  app.add_option_function<std::vector<std::string>>(
         "--set", take, "Set a key of the job, such as train.epochs=3; may be given again")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  app.add_option_function<std::vector<std::string>>("more_pairs", take)->group("");
}

/// An option that is `--set KEY=VALUE` under a shorter name.
void add_key(CLI::App& app, std::vector<std::string>& overrides, const std::string& option,
             const std::string& key, const char* type, const std::string& text) {
  app.add_option_function<std::string>(
         option,
         [&overrides, key](const std::string& value) { overrides.push_back(key + "=" + value); },
         text + " [" + key + " of the job]")
      ->type_name(type);
}

template <class Arguments>
void add_run_options(CLI::App& app, Arguments& a) {
  app.add_option("JOB", a.job_file, "The job file (docs/reference/job_file.md)");
  app.add_option("--resume", a.resume,
                 "Instead of JOB: go on with this run from its newest checkpoint")
      ->type_name("RUN");
  add_overrides(app, a.overrides, &a.job_file);
  add_key(app, a.overrides, "--replicas", "cluster.replicas", "R",
          "Hold each shard on this many nodes");
  add_key(app, a.overrides, "--checkpoint-batches", "checkpoint.every_batches", "N",
          "Make a checkpoint after so many batches");
  add_key(app, a.overrides, "--checkpoint-seconds", "checkpoint.every_seconds", "S",
          "Make a checkpoint after so many seconds");
  add_key(app, a.overrides, "--keep-checkpoints", "checkpoint.keep", "K",
          "Keep this many checkpoints");
  app.add_option("--run", a.run, "The run folder, new or empty [runs/NAME-N]")->type_name("DIR");
  app.add_option("--events", a.events, "Write one JSON object per event to this new file as well")
      ->type_name("FILE");
}

void add_train(CLI::App& app, train_arguments& a) {
  add_run_options(app, a);
  app.add_option("--record", a.record,
                 "Write what every process did to this new file, for troupe check")
      ->type_name("FILE");
  app.add_flag("--in-process", a.in_process,
               "Run the whole cluster in this process instead of one process per role");
}

void add_record_folder(CLI::App& app, std::optional<std::filesystem::path>& folder) {
  app.add_option("--record", folder,
                 "Write what this process does to a new file in this folder, for troupe check")
      ->type_name("DIR");
}

void add_scheduler(CLI::App& app, scheduler_arguments& a) {
  add_run_options(app, a);
  app.add_option("--restart", a.restart,
                 "Instead of JOB: go on with this run, whose scheduler was killed and whose nodes "
                 "wait for one at --listen")
      ->type_name("RUN");
  app.add_option("--listen", a.listen, "Where nodes join; port 0 takes any free one")
      ->type_name("HOST:PORT")
      ->required();
  add_record_folder(app, a.record);
  app.add_option("--ready-fd", a.ready_fd)->group("");
}

[[noreturn]] void refuse(const std::string& line) { throw CLI::ValidationError(line); }

// What `option` takes from a run folder, nothing else may say.
template <class Arguments>
void check_existing_run(Arguments& a, const std::string& option) {
  // Without a JOB, a pair that is parted from its --set has taken its place.
  if (a.job_file.string().find('=') != std::string::npos)
    a.overrides.push_back(std::exchange(a.job_file, {}).string());
  if (!a.job_file.empty())
    refuse(option + " goes on with the job of its run; expected no JOB, found " +
           a.job_file.string());
  if (a.run) refuse(option + " goes on in the folder of its run; expected no --run");
}

void check_changes(const std::vector<std::string>& overrides) {
  for (const auto& text : overrides)
    if (!text.starts_with("cluster.") && !text.starts_with("checkpoint."))
      refuse("with --resume only cluster.* and checkpoint.* can be set, found " + text);
}

void check(train_arguments& a) {
  if (!a.resume) {
    if (a.job_file.empty()) refuse("expected JOB or --resume RUN, found neither");
    return;
  }
  check_existing_run(a, "--resume");
  check_changes(a.overrides);
  if (a.in_process) refuse("--resume needs processes of its own; expected no --in-process");
}

void check(scheduler_arguments& a) {
  if (a.resume && a.restart) refuse("expected one of --resume and --restart, found both");
  if (!a.resume && !a.restart && a.job_file.empty())
    refuse("expected JOB, --resume RUN or --restart RUN, found none of them");
  if (a.resume) {
    check_existing_run(a, "--resume");
    check_changes(a.overrides);
  }
  if (a.restart) {
    check_existing_run(a, "--restart");
    if (!a.overrides.empty())
      refuse("--restart changes nothing of the job; expected no --set, found " +
             a.overrides.front());
  }
}

void add_node(CLI::App& app, node_arguments& a) {
  app.add_option("--join", a.join, "The scheduler's address")->type_name("HOST:PORT")->required();
  app.add_option(
         "--listen", a.listen,
         "Where other nodes reach this one [any port of the address from which it reaches the "
         "scheduler]")
      ->type_name("HOST:PORT");
  app.add_option("--advertise", a.advertise,
                 "The host that other nodes are told, where it is not the one of --listen")
      ->type_name("HOST");
  app.add_option("--shards", a.shards, "Hold at most this many shards [1]")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  app.add_option("--workers", a.workers, "Run at most this many workers [1]")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  app.add_option("--wait", a.wait_seconds, "Try for this long to reach the scheduler [10]")
      ->type_name("SECONDS")
      ->check(CLI::Range(0, 86400));
  add_record_folder(app, a.record);
  app.add_flag("--launched", a.launched)->group("");
  app.add_option("--job", a.job_id, "Refuse a scheduler that runs another job")->type_name("ID");
}

void add_evaluate(CLI::App& app, evaluate_arguments& a) {
  app.add_option("RUN", a.run, "A run folder or a model file")->required();
  add_overrides(app, a.overrides);
  app.add_flag("--all", a.all, "Evaluate on every sample, not only on those held out");
  app.add_flag("--json", a.json, "Print one JSON object");
}

void add_predict(CLI::App& app, predict_arguments& a) {
  app.add_option("RUN", a.run, "A run folder or a model file")->required();
  app.add_option("--data", a.data, "The samples: an IDX image file (plain or gzip) or a CSV table")
      ->type_name("FILE")
      ->required();
  app.add_option("--out", a.out, "Write to this new file [standard output]")->type_name("FILE");
  app.add_flag("--values", a.values, "Print the model's outputs instead of the class");
}

void add_scheduler_place(CLI::App& app, scheduler_place& place) {
  app.add_option("RUN", place.run, "The folder of a run whose scheduler runs on this host");
  app.add_option("--scheduler", place.address, "Instead of RUN: the scheduler's address")
      ->type_name("HOST:PORT");
}

void check(const scheduler_place& place) {
  if (place.run.empty() && place.address.empty())
    refuse("expected RUN or --scheduler HOST:PORT, found neither");
  if (!place.run.empty() && !place.address.empty())
    refuse("expected one of RUN and --scheduler, found both");
}

void add_status(CLI::App& app, status_arguments& a) {
  add_scheduler_place(app, a.scheduler);
  app.add_flag("--json", a.json, "Print one JSON object");
}

void add_drain(CLI::App& app, drain_arguments& a) {
  app.add_option("NODE", a.node, "The number of the node, as troupe status shows it")
      ->required()
      ->check(CLI::Range(0U, std::numeric_limits<std::uint32_t>::max() - 1));
  add_scheduler_place(app, a.scheduler);
}

void add_check(CLI::App& app, check_arguments& a) {
  app.add_option("FILE", a.files,
                 "A history that --record wrote, or the files or folders of its parts")
      ->required();
  app.add_flag("--all", a.all, "Print every violation, not only the first");
  app.add_flag("--json", a.json, "Print one JSON object");
}

void add_chaos(CLI::App& app, chaos_arguments& a) {
  app.add_option("SCENARIO", a.scenario, "The scenario file (docs/reference/scenario.md)");
  app.add_option("--seeds", a.seeds,
                 "Run it with so many seeds [100; 1 where the scenario names its seed]")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  // A scenario file cannot name a greater one; CLI11 takes what does not fit for the greatest that
  // does.
  app.add_option("--first-seed", a.first_seed, "The first of them [that of the scenario, or 1]")
      ->type_name("N")
      ->check(
          CLI::Range(std::uint64_t{0}, std::uint64_t{std::numeric_limits<std::int64_t>::max()}));
  app.add_option("--jobs", a.jobs, "Run so many at a time [one for each core]")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.add_option("--stop-after", a.stop_after, "End when so many seeds have failed [5]")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  app.add_flag("--real", a.real,
               "Do the faults to real processes of this host, one seed at a time unless --jobs "
               "says more [5 seeds]; a "
               "seed repeats its faults, not what the processes do between them");
  app.add_flag("--twice", a.twice, "Run every seed twice, which must come out the same");
  app.add_flag("!--no-shrink", a.shrink, "Do not look for fewer faults that fail as well");
  app.add_option("--report", a.report, "Write a page with timelines and tables to this file")
      ->type_name("FILE.html");
  app.add_option("--failures", a.failures,
                 "The folder for scenario files of failing seeds [chaos-failures]")
      ->type_name("DIR");
  app.add_option(
         "--mutant", a.mutant,
         "Run it with this deliberate bug, or with each of all, until it is caught (a build "
         "with mutants)")
      ->type_name("NAME|all");
  app.add_option("--events", a.events,
                 "Of the last seed that is told of, write all that its processes did to this file")
      ->type_name("FILE");
  app.add_flag("--list-probes", a.list_probes, "Print the rare branches that are counted");
  app.add_flag("--list-mutants", a.list_mutants, "Print the deliberate bugs");
}

void check(const chaos_arguments& a) {
  if (a.scenario.empty() && !a.list_probes && !a.list_mutants)
    refuse("expected SCENARIO, --list-probes or --list-mutants, found none of them");
  if (a.real && a.twice)
    refuse("--twice compares two runs of a seed, which real processes do not repeat; expected one "
           "of --real and --twice, found both");
  if (a.real && !a.mutant.empty())
    refuse("--mutant runs the simulator; expected one of --real and --mutant, found both");
}

} // namespace

std::variant<arguments, int> parse_arguments(int argc, const char* const* argv) {
  CLI::App app("Troupe trains a model on a cluster of actor processes.", "troupe");
  app.set_version_flag("--version", "troupe " + std::string(version));
  app.footer(exit_codes);
  app.require_subcommand(1);

  train_arguments train;
  scheduler_arguments scheduler;
  node_arguments node;
  evaluate_arguments evaluate;
  predict_arguments predict;
  status_arguments status;
  drain_arguments drain;
  check_arguments checked;
  chaos_arguments chaos;
  const auto add = [&](const char* name, const char* text) {
    auto* command = app.add_subcommand(name, text);
    command->footer(exit_codes);
    return command;
  };
  auto* train_command = add("train", "Train a job on a cluster of processes on this machine");
  auto* scheduler_command = add("scheduler", "Run the scheduler of a job; nodes join it");
  auto* node_command = add("node", "Join a scheduler with shards and workers");
  auto* evaluate_command = add("evaluate", "Measure the model of a run on held-out data");
  auto* predict_command = add("predict", "Apply the model of a run to new samples");
  auto* status_command = add("status", "Show what the scheduler of a run knows");
  auto* drain_command = add("drain", "Move everything away from a node, then end it");
  auto* check_command = add("check", "Prove that a recorded run kept every promise");
  auto* chaos_command =
      add("chaos",
          "Run a scenario of faults in a simulated cluster or on real processes, and check it");
  add_train(*train_command, train);
  add_scheduler(*scheduler_command, scheduler);
  add_node(*node_command, node);
  add_evaluate(*evaluate_command, evaluate);
  add_predict(*predict_command, predict);
  add_status(*status_command, status);
  add_drain(*drain_command, drain);
  add_check(*check_command, checked);
  add_chaos(*chaos_command, chaos);

  try {
    app.parse(argc, argv);
    if (train_command->parsed()) check(train);
    if (scheduler_command->parsed()) check(scheduler);
    if (status_command->parsed()) check(status.scheduler);
    if (drain_command->parsed()) check(drain.scheduler);
    if (chaos_command->parsed()) check(chaos);
  } catch (const CLI::Success& e) { // --help, --version
    return app.exit(e) == 0 ? success : bad_usage;
  } catch (const CLI::ParseError& e) {
    std::string help = "troupe";
    for (const auto* command : app.get_subcommands()) help += " " + command->get_name();
    if (app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-') {
      print_error("expected train, scheduler, node, evaluate, predict, status, drain, check or "
                  "chaos, "
                  "found \"" +
                  std::string(argv[1]) + "\"; see troupe --help");
      return bad_usage;
    }
    print_error(plain_line(e.what()) + "; see " + help + " --help");
    return bad_usage;
  }
  if (train_command->parsed()) return arguments(train);
  if (scheduler_command->parsed()) return arguments(scheduler);
  if (node_command->parsed()) return arguments(node);
  if (evaluate_command->parsed()) return arguments(evaluate);
  if (predict_command->parsed()) return arguments(predict);
  if (status_command->parsed()) return arguments(status);
  if (drain_command->parsed()) return arguments(drain);
  if (check_command->parsed()) return arguments(checked);
  return arguments(chaos);
}

} // namespace troupe::cli

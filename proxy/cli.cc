#include "proxy/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "conf/config_loader.h"
#include "conf/config_values.h"
#include "proxy/admin_client.h"
#include "proxy/cli_check.h"
#include "proxy/cli_commands.h"
#include "proxy/cli_completion.h"
#include "proxy/cli_token.h"
#include "proxy/server_info.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

constexpr char kDefaultAdmin[] = "127.0.0.1:6401";

constexpr char kAbout[] =
    "Crossfade moves live traffic from one Redis-compatible store (old) to another (new): writes go to\n"
    "both, reads shift by a percentage, answers are compared, the primary flips, and flips back.\n"
    "\n"
    "Examples:\n"
    "  crossfade check --old redis://10.0.0.1:6379 --new redis://10.0.0.2:6379 can it be done?\n"
    "  crossfade run --old redis://10.0.0.1:6379 --new redis://10.0.0.2:6379   start the proxy\n"
    "  crossfade status                     what is going on, and what to do next\n"
    "  crossfade watch                      the same, live\n"
    "  crossfade backfill start             copy what was there before\n"
    "  crossfade verify                     are both stores the same?\n"
    "  crossfade compare 100                ask both stores for every read, and compare\n"
    "  crossfade reads 25                   new answers 25 % of the keys\n"
    "  crossfade ramp start --every 10m     1, 5, 25, 50, 100 %, and back to 0 when a figure is bad\n"
    "  crossfade flip --dry-run             what stands in the way of a flip?\n"
    "  crossfade flip new                   make new the primary; `flip old` goes back\n";

constexpr char kExitHelp[] =
    "`crossfade COMMAND --help` says more, with examples.\n"
    "Exit status: 0 done; 1 what was asked for did not come true; 2 wrong usage or configuration;\n"
    "3 the proxy, or a store, can't be reached.\n";

// "25", "12.5", "25%".
std::optional<double> ParsePercent(std::string text) {
  if (!text.empty() && text.back() == '%') text.pop_back();
  const bool plain =
      !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (!plain) return std::nullopt;
  char* end = nullptr;
  const double percent = std::strtod(text.c_str(), &end);
  if (*end != '\0' || percent > 100) return std::nullopt;
  return percent;
}

std::string CheckPercent(const std::string& text) {
  if (ParsePercent(text).has_value()) return "";
  return fmt::format("expected a percentage from 0 to 100, got \"{}\"", text);
}

std::string CheckInterval(const std::string& text) {
  const absl::StatusOr<int64_t> ms = ParseDuration(text);
  if (!ms.ok()) return std::string(ms.status().message());
  return *ms >= 100 && *ms <= 3'600'000 ? "" : "expected 100ms to 1h";
}

// The grammar, and what the arguments were. One parse in its life.
class Cli {
 public:
  explicit Cli(const CliWorld& world) : world_(world), app_(kAbout, "crossfade") { AddCommands(); }

  int Run(int argc, const char* const* argv);

 private:
  using Action = std::function<int(Operator&)>;

  void AddCommands();
  void AddRun();
  void AddSettings();
  void AddBackfill();
  void AddFlip();
  void AddVerify();
  void AddCheckAndCopy();
  void AddCommandList();
  void AddShellHelp();
  // A command that asks the admin API, with the options that all of those have.
  CLI::App* AddOperatorCommand(const char* name, const char* about, const char* examples, Action action);
  CLI::App* AddChoice(const char* name, const char* about, const char* examples, std::vector<std::string> choices,
                      Action action);
  int RunProxy();
  int ListCommands();
  bool ChecksByItself() const;
  int CheckByItself();
  int Operate();

  const CliWorld& world_;
  CLI::App app_;
  CLI::App* run_ = nullptr;
  CLI::App* list_ = nullptr;
  CLI::App* completion_ = nullptr;
  CLI::App* man_ = nullptr;
  CLI::App* check_ = nullptr;
  Action action_;  // what the operator command that was named does

  std::string config_file_, old_url_, new_url_, listen_, run_admin_, state_dir_;
  std::string admin_, token_file_;
  bool json_ = false;
  bool refused_ = false, not_in_multi_ = false;
  std::string percent_, choice_, interval_ = "1s";
  bool cold_ = false;
  BackfillArguments backfill_;
  FlipOptions flip_;
  SecondaryOptions secondary_;
  VerifyArguments verify_;
  RampArguments ramp_;
  ReportArguments report_;
  std::string sample_;
  int64_t limit_ = 20;
};

void Cli::AddCommands() {
  app_.set_version_flag("--version", "crossfade " CROSSFADE_VERSION, "Print the version and exit");
  app_.require_subcommand(1);
  app_.footer(kExitHelp);
  AddRun();
  AddOperatorCommand("status", "What is going on: roles, lag, counters, backends",
                     "Examples:\n  crossfade status\n  crossfade watch\n"
                     "  crossfade status --json | jq .lag",
                     [](Operator& op) { return op.Status(); });
  CLI::App* watch = AddOperatorCommand(
      "watch", "The same as a view that redraws, with rates and the latest changes; q quits",
      "Examples:\n  crossfade watch\n  crossfade watch --interval 5s\n"
      "  crossfade watch | tee migration.log   a line each time, where standard output is no terminal",
      [this](Operator& op) { return op.Watch(*ParseDuration(interval_)); });
  watch->add_option("--interval", interval_, "How often to look (1s unless given)")
      ->type_name("DURATION")
      ->check(CheckInterval);
  AddCheckAndCopy();
  AddSettings();
  AddFlip();
  AddOperatorCommand("resync", "Copy everything from the primary to the secondary again: the primary is right",
                     "Examples:\n  crossfade resync", [](Operator& op) { return op.Resync(); });
  AddOperatorCommand("reload", "Read the configuration file again, as SIGHUP does, and say what has changed",
                     "Examples:\n  crossfade reload", [](Operator& op) { return op.Reload(); });
  AddBackfill();
  AddVerify();
  AddRampOptions(AddOperatorCommand("ramp", "Shift reads to new step by step, as long as it proves to be well",
                                    kRampExamples, [this](Operator& op) { return op.Ramp(ramp_); }),
                 &ramp_);
  CLI::App* mismatches = AddOperatorCommand("mismatches", "The latest confirmed mismatches",
                                            "Examples:\n  crossfade mismatches\n  crossfade mismatches --limit 100",
                                            [this](Operator& op) { return op.Mismatches(limit_); });
  CLI::App* audit = AddOperatorCommand(
      "audit", "Who has changed what, and what happened by itself, the newest first",
      "Examples:\n  crossfade audit\n  crossfade audit --limit 100\n  crossfade audit --json | jq .entries",
      [this](Operator& op) { return op.Audit(limit_); });
  for (CLI::App* list : {mismatches, audit}) {
    list->add_option("--limit", limit_, "How many at most (20 unless given)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
  }
  CLI::App* report = AddOperatorCommand("report", "What somebody signs: PASS, FAIL or INSUFFICIENT, and every figure",
                                        kReportExamples, [this](Operator& op) { return op.Report(report_); });
  AddReportOptions(report, &report_);
  AddCommandList();
  AddShellHelp();
}

void Cli::AddRun() {
  run_ = app_.add_subcommand("run", "Run the proxy, in the foreground, until SIGTERM");
  run_->add_option("--config", config_file_, "Configuration file (TOML); the options below win over it")
      ->type_name("FILE");
  run_->add_option("--old", old_url_, "The store that traffic leaves: redis://[user:password@]host[:port]")
      ->type_name("URL");
  run_->add_option("--new", new_url_, "The store that traffic moves to")->type_name("URL");
  run_->add_option("--listen", listen_, "Where applications connect (127.0.0.1:6400)")->type_name("HOST:PORT");
  run_->add_option("--admin", run_admin_, "Where operators connect (127.0.0.1:6401)")->type_name("HOST:PORT");
  run_->add_option("--state", state_dir_, "Directory that remembers flips and settings")->type_name("DIR");
  run_->footer(
      "Examples:\n"
      "  crossfade run --config /etc/crossfade/crossfade.toml\n"
      "  crossfade run --old redis://10.0.0.1:6379 --new redis://:secret@10.0.0.2:6379 --state ./state\n"
      "Writes `ready listen=HOST:PORT admin=HOST:PORT` to standard error once it accepts; port 0 picks a free one.\n");
}

void Cli::AddCheckAndCopy() {
  check_ = AddOperatorCommand("check", "Can a migration between the two stores come out right?", kCheckExamples,
                              [this](Operator& op) { return op.Check(WantsColours(*world_.out)); });
  check_->add_option("--config", config_file_, "The proxy's configuration file: needs no running proxy")
      ->type_name("FILE");
  check_->add_option("--old", old_url_, "The store that traffic leaves: needs no running proxy")->type_name("URL");
  check_->add_option("--new", new_url_, "The store that traffic moves to")->type_name("URL");
  CLI::App* copy = AddOperatorCommand("copy", "Copy functions or ACL users from the primary to the secondary",
                                      "Examples:\n  crossfade copy functions\n  crossfade copy users\n"
                                      "Nothing is removed; what only the secondary has is named. The user that "
                                      "Crossfade itself is there stays as it is.",
                                      [this](Operator& op) { return op.Copy(choice_); });
  copy->add_option("what", choice_, "functions or users")->required()->check(CLI::IsMember({"functions", "users"}));
}

// Without a proxy, when the stores are named; otherwise the proxy is asked like any other.
bool Cli::ChecksByItself() const {
  return check_->parsed() && !(config_file_.empty() && old_url_.empty() && new_url_.empty());
}

int Cli::CheckByItself() {
  ConfigOverrides overrides;
  if (check_->count("--old") > 0) overrides.old_url = old_url_;
  if (check_->count("--new") > 0) overrides.new_url = new_url_;
  absl::StatusOr<Config> config = LoadConfig(config_file_, overrides);
  if (!config.ok()) {
    *world_.err << std::string(config.status().message()) << "\n";
    return kExitUsage;
  }
  return CheckStores(*config, json_, WantsColours(*world_.out), world_.out);
}

void Cli::AddSettings() {
  CLI::App* reads = AddOperatorCommand(
      "reads", "The share of reads that new answers",
      "Examples:\n  crossfade reads 1\n  crossfade reads 25\n  crossfade reads 0        everything back to old\n"
      "  crossfade reads 100 --cold   although new lacks data (a cache)",
      [this](Operator& op) { return op.SetReads(*ParsePercent(percent_), cold_); });
  reads->add_option("percent", percent_, "0 to 100")->required()->check(CheckPercent);
  reads->add_flag("--cold", cold_, "Allow it while new is not synced: a cache that may start empty");
  CLI::App* compare =
      AddOperatorCommand("compare", "The share of reads that both stores answer, to be compared",
                         "Examples:\n  crossfade compare 10\n  crossfade compare 100\n  crossfade compare 0",
                         [this](Operator& op) { return op.SetCompare(*ParsePercent(percent_)); });
  compare->add_option("percent", percent_, "0 to 100")->required()->check(CheckPercent);
  CLI::App* secondary = AddChoice(
      "secondary", "What the secondary receives: every write, nothing but notes, nothing, or all by replication",
      "Examples:\n  crossfade secondary journal   remember written keys, send nothing\n"
      "  crossfade secondary follow    send what was remembered, then every write\n"
      "  crossfade secondary follow --snapshot   the same, after a snapshot of the primary, taken in\n"
      "                                journal mode, was loaded into the secondary: the rest is there\n"
      "  crossfade secondary off       forget the secondary; going back copies everything\n"
      "  crossfade secondary replica   the servers' own replication carries everything, until it is promoted\n"
      "  crossfade secondary replica --replace   although the secondary holds keys: it loses them",
      {"follow", "journal", "replica", "off"}, [this](Operator& op) { return op.SetSecondary(choice_, secondary_); });
  CLI::Option* snapshot = secondary->add_flag("--snapshot", secondary_.snapshot,
                                              "With follow: the secondary holds a snapshot taken in journal mode");
  secondary->add_flag("--elsewhere", secondary_.elsewhere, "… that was not taken by the primary itself: a replica's")
      ->needs(snapshot);
  secondary->add_flag("--replace", secondary_.replace, "With replica: throw away what the secondary holds");
  AddChoice("ack", "Whose answer a client's write waits for",
            "Examples:\n  crossfade ack both\n  crossfade ack primary", {"primary", "both"},
            [this](Operator& op) { return op.SetAck(choice_); });
  AddChoice("split", "How reads are shared between the stores: by key, or at random",
            "Examples:\n  crossfade split key\n  crossfade split random", {"key", "random"},
            [this](Operator& op) { return op.SetSplit(choice_); });
  AddChoice("on-miss", "What a nil from new means: nil, or ask the primary and copy the key",
            "Examples:\n  crossfade on-miss primary\n  crossfade on-miss nil", {"nil", "primary"},
            [this](Operator& op) { return op.SetOnMiss(choice_); });
}

void Cli::AddBackfill() {
  CLI::App* backfill = AddOperatorCommand(
      "backfill", "Copy what was in the primary before the proxy came",
      "Examples:\n  crossfade backfill start              copy everything, and watch (Ctrl-C: it goes on)\n"
      "  crossfade backfill start --match 'session:*' --type hash --db 3\n"
      "  crossfade backfill start --rate 5000 --bandwidth 20MiB --detach\n"
      "  crossfade backfill status\n"
      "  crossfade backfill pause              … and `resume`, also after a restart of the proxy\n"
      "  crossfade backfill resume --rate 500  go on, slower\n"
      "  crossfade backfill cancel\n"
      "It slows down by itself when clients of the primary have to wait (backfill.added_latency).",
      [this](Operator& op) { return op.Backfill(backfill_); });
  AddBackfillOptions(backfill, &backfill_);
}

void Cli::AddFlip() {
  CLI::App* flip = AddOperatorCommand("flip", "Make the other store the primary, or go back", kFlipExamples,
                                      [this](Operator& op) { return op.Flip(flip_, WantsColours(*world_.out)); });
  AddFlipOptions(flip, &flip_);
}

void Cli::AddVerify() {
  CLI::App* verify = AddOperatorCommand(
      "verify", "Compare the two stores, key by key, and wait for the result",
      "Examples:\n  crossfade verify\n  crossfade verify --repair     what differs is copied from the primary\n"
      "  crossfade verify --sample 1 --match 'session:*'\n  crossfade verify --detach\n  crossfade verify status\n"
      "  crossfade verify cancel\n"
      "Ctrl-C cancels it. Exit status 0: it has finished, and nothing differs (or all of it was repaired).",
      [this](Operator& op) {
        if (!sample_.empty()) verify_.sample = ParsePercent(sample_);
        return op.Verify(verify_);
      });
  verify->add_option("action", verify_.action, "start (unless given), status or cancel")
      ->check(CLI::IsMember({"start", "status", "cancel"}));
  verify->add_flag("--repair", verify_.repair, "Copy what differs from the primary, and compare it again");
  verify->add_option("--sample", sample_, "Only so many percent of the keys, always the same ones")
      ->type_name("PERCENT")
      ->check(CheckPercent);
  verify->add_option("--match", verify_.match, "Only keys that match, as SCAN does")->type_name("GLOB");
  verify->add_option("--db", verify_.db, "Only this database")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, ServerInfo::kMostDatabases - 1));
  verify->add_option("--rate", verify_.rate, "At most so many keys in a second (else verify.keys_per_second)")
      ->type_name("N")
      ->check(CLI::Range(1, 10'000'000));
  verify->add_flag("--detach", verify_.detach, "Start it, and don't wait");
}

void Cli::AddCommandList() {
  list_ = app_.add_subcommand("commands", "The commands that applications may use, and why others are refused");
  CLI::Option* refused =
      list_->add_flag("--refused", refused_, "Only what is refused, always or unless listen.admin_commands = true");
  list_->add_flag("--not-in-multi", not_in_multi_, "Only what is refused between MULTI and EXEC alone")
      ->excludes(refused);
  list_->add_flag("--json", json_, "Print a JSON array");
  list_->footer(std::string("Examples:\n"
                            "  crossfade commands\n"
                            "  crossfade commands --refused\n"
                            "  crossfade commands --json | jq '.[] | select(.command == \"WAIT\")'\n"
                            "Asks no proxy: the answer is this build's.\n\n") +
                kHandlingHelp);
}

void Cli::AddShellHelp() {
  completion_ = app_.add_subcommand("completion", "Print what makes bash or zsh complete these commands");
  completion_->add_option("shell", choice_, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  completion_->footer(
      "Examples:\n"
      "  source <(crossfade completion bash)\n"
      "  crossfade completion bash > /etc/bash_completion.d/crossfade\n"
      "  crossfade completion zsh > /usr/local/share/zsh/site-functions/_crossfade\n");
  man_ = app_.add_subcommand("man", "Print the manual page");
  man_->footer(
      "Examples:\n"
      "  crossfade man | man -l -\n"
      "  crossfade man > /usr/local/share/man/man1/crossfade.1\n");
}

CLI::App* Cli::AddOperatorCommand(const char* name, const char* about, const char* examples, Action action) {
  CLI::App* command = app_.add_subcommand(name, about);
  command->add_option("--admin", admin_, "The proxy's admin address (env CROSSFADE_ADMIN; else 127.0.0.1:6401)")
      ->type_name("HOST:PORT");
  command->add_option("--token-file", token_file_, "File with the admin token (else env CROSSFADE_TOKEN is the token)")
      ->type_name("FILE");
  command->add_flag("--json", json_, "Print what the API answered");
  command->footer(std::string(examples) + "\n");
  command->callback([this, action = std::move(action)] { action_ = action; });
  return command;
}

CLI::App* Cli::AddChoice(const char* name, const char* about, const char* examples, std::vector<std::string> choices,
                         Action action) {
  CLI::App* command = AddOperatorCommand(name, about, examples, std::move(action));
  std::string names;
  for (const std::string& choice : choices) names += (names.empty() ? "" : ", ") + choice;
  command->add_option("value", choice_, names)->required()->check(CLI::IsMember(std::move(choices)));
  return command;
}

int Cli::Run(int argc, const char* const* argv) {
  const auto commands = app_.get_subcommands([](const CLI::App*) { return true; });
  const auto is_named = [argv](const CLI::App* command) { return command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && std::none_of(commands.begin(), commands.end(), is_named)) {
    *world_.err << "crossfade: there is no command '" << argv[1] << "'; crossfade --help lists them\n";
    return kExitUsage;
  }
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // --help and --version come this way as well
    return app_.exit(error, *world_.out, *world_.err) == 0 ? kExitDone : kExitUsage;
  }
  if (list_->parsed()) return ListCommands();
  if (completion_->parsed()) {
    *world_.out << (choice_ == "zsh" ? ZshCompletion(app_) : BashCompletion(app_));
    return kExitDone;
  }
  if (man_->parsed()) {
    *world_.out << ManPage(app_, CROSSFADE_VERSION);
    return kExitDone;
  }
  if (ChecksByItself()) return CheckByItself();
  return run_->parsed() ? RunProxy() : Operate();
}

int Cli::ListCommands() {
  const CommandChoice choice = refused_        ? CommandChoice::kRefused
                               : not_in_multi_ ? CommandChoice::kNotQueued
                                               : CommandChoice::kAll;
  *world_.out << (json_ ? CommandsAsJson(choice) : RenderCommands(choice));
  return kExitDone;
}

int Cli::RunProxy() {
  auto given = [this](const char* option, const std::string& value) {
    return run_->count(option) > 0 ? std::optional<std::string>(value) : std::nullopt;
  };
  ConfigOverrides overrides;
  overrides.old_url = given("--old", old_url_);
  overrides.new_url = given("--new", new_url_);
  overrides.listen = given("--listen", listen_);
  overrides.admin = given("--admin", run_admin_);
  overrides.state_dir = given("--state", state_dir_);
  absl::StatusOr<Config> config = LoadConfig(config_file_, overrides);
  if (!config.ok()) {
    *world_.err << std::string(config.status().message()) << "\n";
    return kExitUsage;
  }
  return world_.run_proxy(
      {*config, config_file_, [file = config_file_, overrides] { return LoadConfig(file, overrides); }});
}

int Cli::Operate() {
  AdminSession session;
  std::string admin = admin_.empty() ? EnvOrEmpty("CROSSFADE_ADMIN") : admin_;
  const char* source = admin_.empty() ? "CROSSFADE_ADMIN" : "--admin";
  absl::StatusOr<Address> address = ParseAddress(admin.empty() ? kDefaultAdmin : admin);
  if (!address.ok()) {
    *world_.err << source << ": " << std::string(address.status().message()) << "\n";
    return kExitUsage;
  }
  absl::StatusOr<std::string> token = ReadToken(token_file_);
  if (!token.ok()) {
    *world_.err << std::string(token.status().message()) << "\n";
    return kExitUsage;
  }
  session.address = *address;
  session.token = *token;
  session.json = json_;
  if (!admin_.empty()) session.same_target = " --admin " + admin_;
  session.call = world_.call_admin;
  session.out = world_.out;
  session.err = world_.err;
  session.pace = world_.pace;
  Operator op(std::move(session));
  return action_(op);
}

}  // namespace

int RunCli(int argc, const char* const* argv, const CliWorld& world) {
  return Cli(world).Run(argc, argv);
}

int RunCli(int argc, char** argv, std::function<int(const RunRequest&)> run_proxy) {
  return RunCli(argc, argv, CliWorld{std::move(run_proxy), CallAdmin, &std::cout, &std::cerr, nullptr});
}

}  // namespace crossfade

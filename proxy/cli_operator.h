// The operator commands, once their arguments are understood: each asks the admin API, prints one answer and returns
// the exit status. Without --json the answer is for people (cli_output); with it, it is what the API said, verbatim.
// Lives for one command; blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "nlohmann/json_fwd.hpp"
#include "proxy/admin_client.h"
#include "proxy/cli_backfill.h"
#include "proxy/cli_flip.h"
#include "proxy/cli_progress.h"
#include "proxy/cli_ramp.h"
#include "proxy/cli_report.h"
#include "proxy/cli_verify.h"

namespace crossfade {

enum CliExit : int {
  kExitDone = 0,
  kExitNotTrue = 1,      // the thing asked for did not come true
  kExitUsage = 2,        // wrong usage or configuration
  kExitUnreachable = 3,  // the proxy can't be reached
};

// CallAdmin, or a test's.
using AdminCaller =
    std::function<absl::StatusOr<AdminReply>(const Address&, const std::string& method, const std::string& path,
                                             const std::string& body, const std::string& token, int64_t timeout_ms)>;

// Whom to ask and how to print.
struct AdminSession {
  Address address;
  std::string token;        // empty: none
  bool json = false;        // print what the API answered
  std::string same_target;  // " --admin HOST:PORT" when the command line named it, for the commands we suggest
  AdminCaller call;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  const Pace* pace = nullptr;  // how waiting for a job goes; null: really
};

struct SecondaryOptions {
  bool snapshot = false;   // follow: it holds a snapshot that was taken in journal mode
  bool elsewhere = false;  // … not by the primary itself
  bool replace = false;    // replica: it may throw away what it holds
};

class Operator {
 public:
  explicit Operator(AdminSession session) : session_(std::move(session)) {}

  int Status();
  int Mismatches(int64_t limit);
  int Audit(int64_t limit);        // cli_audit.cc
  int Watch(int64_t interval_ms);  // cli_watch.cc
  int SetReads(double percent, bool cold);
  int SetCompare(double percent);
  // REQUIRES: `value` is one of the contract's names for the setting.
  int SetSecondary(const std::string& value, const SecondaryOptions& options);
  int SetAck(const std::string& value);
  int SetSplit(const std::string& value);
  int SetOnMiss(const std::string& value);
  int Flip(FlipOptions options, bool colours);  // cli_flip.cc
  int Resync();
  int Reload();
  int Backfill(const BackfillArguments& arguments);
  int Verify(const VerifyArguments& arguments);
  int Ramp(const RampArguments& arguments);
  int Check(bool colours);                       // cli_check.cc
  int Report(const ReportArguments& arguments);  // cli_report.cc
  // `what`: "functions" or "users". cli_copy.cc
  int Copy(const std::string& what);

 private:
  // Asks, prints what --json asks for, and parses. When the answer is a success, *exit is kExitDone and *answer the
  // JSON; anything else has been told to the user. `may_print_json` is false for a question that the user did not ask.
  // `refusal`: gets the body of a 409; with may_print_json false that is not told then.
  bool Ask(const std::string& method, const std::string& path, const nlohmann::json* body, nlohmann::json* answer,
           int* exit, bool may_print_json = true, nlohmann::json* refusal = nullptr);
  int Refused(const std::string& what, const AdminReply& reply);
  // What the status says now, for "was …"; null when it says nothing.
  bool AskStatus(nlohmann::json* status, int* exit);
  int SetKnob(const std::string& command, const char* field, const nlohmann::json& value, const nlohmann::json& also,
              const std::function<std::string(const nlohmann::json& status)>& meaning);
  int FollowBackfill();
  int FollowVerify();
  int FollowRamp(double news_from);
  int WaitAndFlip(const FlipOptions& options, bool colours);
  int TellFlip(const FlipOptions& options, const nlohmann::json& answer, bool colours);

  AdminSession session_;
};

}  // namespace crossfade

// Whatever two stores answer when a large value is compared piece by piece, and whatever is written to it meanwhile:
// what is asked next is well formed, the comparison comes to its end even if a store says the same for ever, and two
// stores that answer alike never differ.
//
// The first input byte chooses the type, whether fields may expire, and whether both stores give the same answers; the
// second the limits. The rest is replies, one after another; a simple string that begins with '!' is a write that
// comes between two windows: "+!lpush k a". What has been answered last is repeated when the input is at its end; and
// since a value may well be as long as it says, and go on alike, no more of it comes after a while.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "protocol/reply.h"
#include "protocol/resp_parser.h"
#include "routing/value_windows.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

constexpr ValueType kTypes[] = {ValueType::kString, ValueType::kList, ValueType::kSet,
                                ValueType::kHash,   ValueType::kZset, ValueType::kStream};
constexpr size_t kMostSame = 1000, kMostSteps = 2000;  // after the last new answer

class Answers {
 public:
  explicit Answers(std::string_view rest) : rest_(rest) {}

  // So many, and the writes before them.
  std::vector<std::string> Take(size_t count, ValueWindows* windows) {
    std::vector<std::string> taken;
    while (taken.size() < count && Next()) {
      const Reply reply = ParseReply(next_);
      if (reply.type == ReplyType::kSimple && reply.text.starts_with('!')) {
        Write(reply.text.substr(1), windows);
      } else {
        taken.push_back(next_);
      }
    }
    if (taken.empty()) taken = last_.empty() ? std::vector<std::string>{"*0\r\n"} : last_;
    last_ = taken;
    for (size_t i = 0; taken.size() < count; ++i) taken.push_back(taken[i]);
    taken.resize(count);
    return taken;
  }
  bool over() const { return rest_.empty(); }
  void RunDry() { last_ = {":9223372036854775807\r\n", "*0\r\n"}; }

 private:
  bool Next() {
    ReplyParser parser;
    size_t consumed = 0;
    if (rest_.empty() || parser.Parse(rest_, &consumed) != ParseResult::kDone) {
      rest_ = {};
      return false;
    }
    next_ = rest_.substr(0, consumed);
    rest_.remove_prefix(consumed);
    return true;
  }
  static void Write(std::string_view words, ValueWindows* windows) {
    std::vector<std::string_view> args;
    while (!words.empty()) {
      const std::string_view word = words.substr(0, words.find(' '));
      args.push_back(word);
      words.remove_prefix(std::min(words.size(), word.size() + 1));
    }
    if (args.empty()) return;
    const Request request = MakeRequest(args);
    windows->OnWritten(args[0], request.view());
  }

  std::string_view rest_;
  std::string next_;
  std::vector<std::string> last_;
};

size_t CountCommands(std::string_view bytes) {
  size_t count = 0;
  for (; !bytes.empty(); ++count) {
    RequestParser parser;
    RequestView request;
    size_t consumed = 0;
    Require(parser.Parse(bytes, &request, &consumed) == ParseResult::kDone && request.argc() > 1, "commands are whole");
    bytes.remove_prefix(consumed);
  }
  return count;
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  if (size < 2) return 0;
  const ValueType type = kTypes[(data[0] & 15) % std::size(kTypes)];
  const bool field_expiry = (data[0] & 64) != 0, alike = (data[0] & 128) != 0;
  const PieceLimits limits{size_t{1} + data[1] % 16 * 100, size_t{1} + data[1] / 16};
  const ExpiryTolerance tolerance{1000, data[1] % 2 == 0 ? 0 : -100'000'000'000'000};
  const auto windows = MakeValueWindows(type, "k", limits, field_expiry);
  Answers answers(InputText(data + 2, size - 2));
  size_t repeated = 0;
  while (!windows->done()) {
    if (answers.over()) {
      Require(++repeated < kMostSteps, "who says the same for ever is not asked for ever");
      Require(repeated < kMostSame || type == ValueType::kString || type == ValueType::kList, "nor a scan of the same");
      if (repeated == kMostSame) answers.RunDry();
    }
    const WindowQuestion question = windows->Next();
    const size_t count = CountCommands(question.commands.bytes);
    Require(count > 0 && count == static_cast<size_t>(question.commands.count), "as many commands as are told");
    const std::vector<std::string> primary = answers.Take(count, windows.get());
    std::vector<std::string> secondary;
    if (!question.primary_only) secondary = alike ? primary : answers.Take(count, windows.get());
    const WindowVerdict verdict = windows->Take(primary, secondary, tolerance);
    if (alike) {
      Require(verdict != WindowVerdict::kDiffers && verdict != WindowVerdict::kTtl,
              "who answers alike does not differ");
    }
    if (verdict != WindowVerdict::kGoOn) break;
  }
  return 0;
}

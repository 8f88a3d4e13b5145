// Streams, for routing/value_windows: the entries by their ids, then the groups, and of each its consumers and what is
// pending. When something was last seen or delivered is never compared.
#include <utility>
#include <vector>

#include "protocol/reply.h"
#include "routing/comparer.h"
#include "routing/rebuild_stream.h"
#include "routing/value_windows.h"

namespace crossfade {

namespace {

using Replies = std::span<const std::string>;

class StreamWindows : public ValueWindows {
 public:
  StreamWindows(std::string_view key, const PieceLimits& limits) : key_(key), size_(limits) {}
  bool done() const override { return stage_ == Stage::kDone; }

  WindowQuestion Next() override {
    WindowQuestion question;
    CommandBatch* commands = &question.commands;
    asked_ = size_.items();
    const std::string count = std::to_string(asked_);
    if (stage_ == Stage::kEntries) {
      commands->Add({"XINFO", "STREAM", key_});
      commands->Add({"XRANGE", key_, from_, "+", "COUNT", count});
    } else if (stage_ == Stage::kGroups) {
      commands->Add({"XINFO", "GROUPS", key_});
    } else {
      commands->Add({"XINFO", "CONSUMERS", key_, groups_.back()});
      commands->Add({"XPENDING", key_, groups_.back(), from_, "+", count});
    }
    return question;
  }

  WindowVerdict Take(Replies primary, Replies secondary, const ExpiryTolerance&) override {
    if (stage_ == Stage::kPending && GroupIsGone(primary) && GroupIsGone(secondary)) {
      NextGroup();
      return WindowVerdict::kGoOn;
    }
    if (stage_ == Stage::kPending && GroupIsGone(primary) != GroupIsGone(secondary)) return WindowVerdict::kDiffers;
    if (const WindowVerdict errors = JudgeErrors(primary, secondary); errors != WindowVerdict::kGoOn) return errors;
    if (stage_ == Stage::kEntries) return TakeEntries(primary, secondary);
    if (stage_ == Stage::kGroups) return TakeGroups(primary, secondary);
    return TakePending(primary, secondary);
  }

 private:
  enum class Stage : uint8_t { kEntries, kGroups, kPending, kDone };

  static bool GroupIsGone(Replies replies) { return ErrorCode(replies[0]) == "NOGROUP"; }
  bool Agree(std::initializer_list<std::string_view> command, CompareRule rule, const std::string& primary,
             const std::string& secondary) const {
    const Request request = MakeRequest(command);
    return RepliesAgree(rule, request.view(), primary, secondary, 0);
  }
  // Where the next window begins: behind the last id of this one. `over` when this was the last. kRefused when it
  // doesn't lead any further.
  WindowVerdict GoOn(const std::string& window, bool* over) {
    const Reply reply = ParseReply(window);
    size_.Came(reply.items.size(), window.size());
    *over = reply.items.size() < asked_ || reply.items.back().items.empty();
    if (*over) return WindowVerdict::kGoOn;
    const std::string before = std::exchange(from_, NextStreamId(reply.items.back().items[0].text));
    *over = from_.empty();
    const bool further = *over || before == "-" || StreamIdLess(before, from_);
    return further ? WindowVerdict::kGoOn : WindowVerdict::kRefused;
  }

  WindowVerdict TakeEntries(Replies primary, Replies secondary) {
    if (!Agree({"XINFO", "STREAM", key_}, CompareRule::kStreamInfo, primary[0], secondary[0]) ||
        !Agree({"XRANGE", key_, "-", "+"}, CompareRule::kExact, primary[1], secondary[1])) {
      return WindowVerdict::kDiffers;
    }
    bool over = false;
    const WindowVerdict verdict = GoOn(primary[1], &over);
    if (over) stage_ = Stage::kGroups;
    return verdict;
  }

  WindowVerdict TakeGroups(Replies primary, Replies secondary) {
    if (!Agree({"XINFO", "GROUPS", key_}, CompareRule::kStreamInfo, primary[0], secondary[0])) {
      return WindowVerdict::kDiffers;
    }
    for (const Reply& group : ParseReply(primary[0]).items) {
      for (size_t i = 0; i + 1 < group.items.size(); i += 2) {
        if (group.items[i].text == "name") groups_.emplace_back(group.items[i + 1].text);
      }
    }
    groups_.emplace_back();  // NextGroup takes the last one away
    NextGroup();
    return WindowVerdict::kGoOn;
  }

  WindowVerdict TakePending(Replies primary, Replies secondary) {
    const std::string& group = groups_.back();
    if (!Agree({"XINFO", "CONSUMERS", key_, group}, CompareRule::kStreamInfo, primary[0], secondary[0]) ||
        !Agree({"XPENDING", key_, group, "-", "+", "1"}, CompareRule::kStreamInfo, primary[1], secondary[1])) {
      return WindowVerdict::kDiffers;
    }
    bool over = false;
    const WindowVerdict verdict = GoOn(primary[1], &over);
    if (over) NextGroup();
    return verdict;
  }

  void NextGroup() {
    groups_.pop_back();
    from_ = "-";
    stage_ = groups_.empty() ? Stage::kDone : Stage::kPending;
  }

  const std::string key_;
  PieceSize size_;
  Stage stage_ = Stage::kEntries;
  std::string from_ = "-";
  size_t asked_ = 0;
  std::vector<std::string> groups_;  // still to be looked at, the last one now
};

}  // namespace

std::unique_ptr<ValueWindows> MakeStreamWindows(std::string_view key, const PieceLimits& limits) {
  return std::make_unique<StreamWindows>(key, limits);
}

}  // namespace crossfade

#include "proxy/audit.h"

#include <utility>

#include "nlohmann/json.hpp"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

// Never in the middle of a character.
void KeepShort(std::string* text) {
  if (text->size() <= Audit::kMaxTextBytes) return;
  size_t size = Audit::kMaxTextBytes;
  while (size > 0 && (static_cast<unsigned char>((*text)[size]) & 0xC0) == 0x80) --size;
  text->resize(size);
  *text += "…";
}

std::string TextIn(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// False for what is none of ours: a torn line, or somebody's editing.
bool ReadEntry(std::string_view line, AuditEntry* entry) {
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return false;
  const auto at = json.find("at_ms");
  if (at == json.end() || !at->is_number_integer()) return false;
  entry->at_ms = at->get<int64_t>();
  entry->who = TextIn(json, "who");
  entry->what = TextIn(json, "what");
  entry->from = TextIn(json, "from");
  entry->to = TextIn(json, "to");
  entry->outcome = TextIn(json, "outcome");
  entry->reason = TextIn(json, "reason");
  return !entry->what.empty();
}

}  // namespace

Json AuditEntryJson(const AuditEntry& entry) {
  return {{"at_ms", entry.at_ms}, {"who", entry.who},         {"what", entry.what},    {"from", entry.from},
          {"to", entry.to},       {"outcome", entry.outcome}, {"reason", entry.reason}};
}

Audit::Audit(Storage* storage, const Clock* clock, const std::string& directory, size_t max_file_bytes)
    : storage_(storage), clock_(clock), path_(directory + "/audit.jsonl"), max_file_bytes_(max_file_bytes) {}

void Audit::Load() {
  const auto text = storage_->Read(path_);
  if (!text.ok()) {
    trouble_ = std::string(text.status().message());
    spdlog::error("event=audit_unreadable error=\"{}\"", trouble_);
    return;
  }
  if (!text->has_value()) return;
  std::string_view left = **text;
  size_ = left.size();
  torn_ = !left.empty() && left.back() != '\n';
  size_t unreadable = 0;
  while (!left.empty()) {
    const size_t end = left.find('\n');
    const std::string_view line = left.substr(0, end);
    left = end == std::string_view::npos ? std::string_view() : left.substr(end + 1);
    if (line.empty()) continue;
    AuditEntry entry;
    if (!ReadEntry(line, &entry)) {
      ++unreadable;
      continue;
    }
    entries_.push_back(std::move(entry));
    if (entries_.size() > kMaxKept) entries_.pop_front();
  }
  last_run_ended_ = entries_.empty() || entries_.back().what == "stop";
  if (unreadable > 0) spdlog::warn("event=audit_lines_unreadable file={} lines={}", path_, unreadable);
}

void Audit::Add(AuditEntry entry, bool sync) {
  entry.at_ms = clock_->WallMs();
  for (std::string* text : {&entry.who, &entry.what, &entry.from, &entry.to, &entry.outcome, &entry.reason})
    KeepShort(text);
  unsaved_.push_back(AuditEntryJson(entry).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMaxKept) entries_.pop_front();
  ++recorded_;
  Save(sync);
  if (listener_) listener_(entries_.back());
}

void Audit::Retry() {
  if (!unsaved_.empty()) Save(false);
}

void Audit::Save(bool sync) {
  std::string bytes = torn_ ? "\n" : "";
  for (const std::string& line : unsaved_) bytes += line;
  absl::Status saved;
  if (size_ + bytes.size() > max_file_bytes_) saved = DropOlderHalf();
  if (saved.ok()) saved = storage_->Append(path_, bytes, sync);
  if (saved.ok()) {
    size_ += bytes.size();
    torn_ = false;
    unsaved_.clear();
    if (!trouble_.empty()) spdlog::info("event=audit_saved_again lost={}", lost_);
    trouble_.clear();
    return;
  }
  torn_ = true;
  if (trouble_.empty()) spdlog::error("event=audit_not_saved error=\"{}\"", std::string(saved.message()));
  trouble_ = std::string(saved.message());
  while (unsaved_.size() > kMaxUnsaved) {
    unsaved_.pop_front();
    ++lost_;
  }
}

absl::Status Audit::DropOlderHalf() {
  const auto text = storage_->Read(path_);
  if (!text.ok()) return text.status();
  std::string_view newer = text->has_value() ? std::string_view(**text) : std::string_view();
  const size_t line_end = newer.find('\n', newer.size() / 2);
  newer = line_end == std::string_view::npos ? std::string_view() : newer.substr(line_end + 1);
  if (absl::Status replaced = storage_->Replace(path_, newer); !replaced.ok()) return replaced;
  size_ = newer.size();
  return absl::OkStatus();
}

}  // namespace crossfade

// Reads one JSON object of a file in the state directory, whatever is in it: throws nothing, and takes nothing that
// could do harm. What isn't there, or isn't of its kind, is read as 0, its least or empty, and ok() is false from then
// on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "nlohmann/json.hpp"

namespace crossfade {

class JsonReader {
 public:
  static constexpr int64_t kMostNumber = int64_t{1} << 53;  // JSON's numbers are exact up to here
  static constexpr double kMostReal = 1e15;

  // Borrows the object.
  explicit JsonReader(const nlohmann::json& json) : json_(json) {}

  std::string Text(const char* name);
  bool Flag(const char* name);
  double Real(const char* name);  // from 0 to kMostReal
  double Real(const nlohmann::json& json);
  int64_t Number(const char* name, int64_t least = 0, int64_t most = kMostNumber);
  uint64_t Count(const char* name) { return static_cast<uint64_t>(Number(name)); }
  // What is absent stays unset, and is no fault.
  template <typename T>
  void Maybe(const char* name, std::optional<T>* out) {
    if (Find(name) == nullptr) return;
    if constexpr (std::is_same_v<T, double>) {
      *out = Real(name);
    } else {
      *out = Number(name);
    }
  }
  const nlohmann::json& Array(const char* name);
  const nlohmann::json& Object(const char* name);
  bool ok() const { return ok_; }

 private:
  const nlohmann::json* Find(const char* name) const;
  double Bad();

  const nlohmann::json& json_;
  bool ok_ = true;
};

}  // namespace crossfade

// A key and its database as one string, for sets and maps of keys: four bytes of database, then the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace crossfade {

inline constexpr size_t kDbKeyHead = sizeof(uint32_t);

inline void SetDbKey(int db, std::string_view key, std::string* out) {
  const auto head = static_cast<uint32_t>(db);
  out->assign(reinterpret_cast<const char*>(&head), sizeof(head));
  out->append(key);
}

inline int DbOf(std::string_view db_key) {
  uint32_t head = 0;
  memcpy(&head, db_key.data(), sizeof(head));
  return static_cast<int>(head);
}

inline std::string_view KeyOf(std::string_view db_key) {
  return db_key.substr(kDbKeyHead);
}

}  // namespace crossfade

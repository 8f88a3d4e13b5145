#include "proxy/server_info.h"

#include <gtest/gtest.h>

namespace crossfade {
namespace {

ServerInfo InfoOf(const std::string& text) {
  ServerInfo info;
  ParseInfo(text, 1'000'000, &info);
  return info;
}

TEST(ServerInfoTest, DatabasesAreANumberThatCanBe) {
  EXPECT_EQ(ReadDatabases("16"), 16);
  EXPECT_EQ(ReadDatabases("100000"), 100'000);
  EXPECT_EQ(ReadDatabases(""), 16);
  EXPECT_EQ(ReadDatabases("many"), 16);
  EXPECT_EQ(ReadDatabases("-5"), 1);
  EXPECT_EQ(ReadDatabases("0"), 1);
  EXPECT_EQ(ReadDatabases("9000000000000000000"), ServerInfo::kMostDatabases);
}

TEST(ServerInfoTest, Redis) {
  const ServerInfo info = InfoOf(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nuptime_in_seconds:60\r\nrole:master\r\n"
      "# Keyspace\r\ndb0:keys=5,expires=1,avg_ttl=0\r\ndb3:keys=7,expires=0,avg_ttl=0\r\n");
  EXPECT_EQ(info.product, "redis");
  EXPECT_EQ(info.version, "7.0.15");
  EXPECT_EQ(info.run_id, "abc");
  EXPECT_EQ(info.started_ms, 940'000);
  EXPECT_EQ(info.keys, 12);
  EXPECT_FALSE(info.is_replica);
  EXPECT_FALSE(info.eager_consumers);
  EXPECT_TRUE(InfoOf("redis_version:7.2.0\r\n").eager_consumers);
  EXPECT_TRUE(InfoOf("redis_version:8.0\r\n").eager_consumers);
  EXPECT_FALSE(InfoOf("redis_version:6\r\nrole:slave\r\n").eager_consumers);
  EXPECT_TRUE(InfoOf("redis_version:6\r\nrole:slave\r\n").is_replica);
}

TEST(ServerInfoTest, Replication) {
  const ReplicationInfo primary = ParseReplication(
      "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:abc\r\nmaster_repl_offset:120\r\n");
  EXPECT_FALSE(primary.replica);
  EXPECT_EQ(primary.offset, 120);
  EXPECT_EQ(primary.replid, "abc");
  EXPECT_EQ(primary.master, "");
  const std::string replica =
      "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
      "master_sync_in_progress:0\r\nslave_read_repl_offset:140\r\nslave_repl_offset:100\r\nmaster_replid:abc\r\n"
      "master_repl_offset:100\r\n";
  EXPECT_EQ(ParseReplication(replica).master, "10.0.0.1:6379");
  EXPECT_EQ(ParseReplication(replica).offset, 100);  // applied, not only read
  EXPECT_TRUE(ParseReplication(replica).replica);
  EXPECT_TRUE(ParseReplication(replica).link_up);
  EXPECT_FALSE(ParseReplication(replica).syncing);
  const ReplicationInfo syncing = ParseReplication(
      "role:replica\r\nmaster_host:::1\r\nmaster_port:1\r\nmaster_link_status:down\r\n"
      "master_sync_in_progress:1\r\nslave_repl_offset:-5\r\nmaster_link_down_since_seconds:7\r\n");
  EXPECT_EQ(syncing.master, "[::1]:1");
  EXPECT_TRUE(syncing.replica && syncing.syncing && !syncing.link_up);
  EXPECT_EQ(syncing.offset, 0);
  EXPECT_EQ(syncing.down_s, 7);
}

TEST(ServerInfoTest, WhoClaimsARedisVersionMayBeAnother) {
  const ServerInfo valkey = InfoOf("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n");
  EXPECT_EQ(valkey.product, "valkey");
  EXPECT_EQ(valkey.version, "8.1.0");
  const ServerInfo dragonfly = InfoOf("redis_version:7.2.0\r\ndragonfly_version:df-v1.25.1\r\n");
  EXPECT_EQ(dragonfly.product, "dragonfly");
  EXPECT_EQ(dragonfly.run_id, "");
}

TEST(ServerInfoTest, AFieldIsAWholeLinesBeginning) {
  EXPECT_EQ(InfoOf("master_run_id:no\r\nrun_id_x:no\r\nrun_id:yes\r\n").run_id, "yes");
  EXPECT_EQ(InfoOf("run_id:last").run_id, "last");
  EXPECT_EQ(InfoOf("").product, "redis");
  EXPECT_EQ(InfoOf("db0:keys=,x").keys, 0);
}

TEST(ServerInfoTest, NumbersThatCannotBe) {
  const std::string most = "9223372036854775807";
  const ServerInfo info =
      InfoOf("uptime_in_seconds:" + most + "\r\ndb0:keys=" + most + "\r\ndb1:keys=" + most + "\r\n");
  EXPECT_LT(info.started_ms, 0);
  EXPECT_EQ(info.keys, int64_t{1} << 60);
  EXPECT_EQ(InfoOf("uptime_in_seconds:-5\r\n").started_ms, 1'000'000);  // none has been started after now

  ClockReading reading;
  EXPECT_FALSE(ReadClock("*2\r\n$19\r\n" + most + "\r\n$1\r\n0\r\n", 0, 10, &reading));
  EXPECT_FALSE(ReadClock("*2\r\n$2\r\n-1\r\n$1\r\n0\r\n", 0, 10, &reading));
  EXPECT_FALSE(ReadClock("*2\r\n$1\r\n1\r\n$7\r\n1000000\r\n", 0, 10, &reading));
  EXPECT_TRUE(ReadClock("*2\r\n$1\r\n1\r\n$6\r\n999999\r\n", 0, 10, &reading));
}

TEST(ServerInfoTest, TheSameProcess) {
  ServerInfo a, b;
  a.run_id = b.run_id = "x";
  a.started_ms = 1;
  b.started_ms = 1'000'000;
  EXPECT_TRUE(SameProcess(a, b));
  b.run_id = "y";
  EXPECT_FALSE(SameProcess(a, b));
  b.run_id.clear();  // no run_id: by the start, within what a whole-second uptime can tell
  EXPECT_FALSE(SameProcess(a, b));
  b.started_ms = 2500;
  EXPECT_TRUE(SameProcess(a, b));
}

TEST(ServerInfoTest, Clock) {
  ClockReading reading;
  ASSERT_TRUE(ReadClock("*2\r\n$4\r\n1000\r\n$6\r\n500000\r\n", 990'000, 990'010, &reading));
  EXPECT_EQ(reading.offset_ms, 1'000'500 - 990'005);
  EXPECT_EQ(reading.uncertainty_ms, 7);
  EXPECT_FALSE(ReadClock("-ERR x\r\n", 0, 0, &reading));
  EXPECT_FALSE(ReadClock("*2\r\n$1\r\na\r\n$1\r\nb\r\n", 0, 0, &reading));
  EXPECT_FALSE(ReadClock("*1\r\n:1\r\n", 0, 0, &reading));
}

TEST(ServerInfoTest, ADifferenceThatMayBeNoneIsNone) {
  ClockReading reading;
  ASSERT_TRUE(ReadClock("*2\r\n$4\r\n1000\r\n$4\r\n4000\r\n", 1'000'000, 1'000'002, &reading));
  EXPECT_EQ(reading.offset_ms, 0);
  EXPECT_EQ(reading.uncertainty_ms, 6) << "3 for the reading, and 3 by which it was moved";
  ASSERT_TRUE(ReadClock("*2\r\n$4\r\n1000\r\n$4\r\n5000\r\n", 1'000'000, 1'000'002, &reading));
  EXPECT_EQ(reading.offset_ms, 4);
}

TEST(ServerInfoTest, TheBetterReadingIsBelieved) {
  const ClockReading good{.offset_ms = 0, .uncertainty_ms = 3}, poor{.offset_ms = 2, .uncertainty_ms = 8};
  EXPECT_TRUE(Replaces(poor, ClockReading(), 0)) << "nothing is known yet";
  EXPECT_TRUE(Replaces(good, poor, 1000));
  EXPECT_FALSE(Replaces(poor, good, 1000));
  EXPECT_TRUE(Replaces(poor, good, 60'000)) << "clocks drift";
  EXPECT_TRUE(Replaces({.offset_ms = 500, .uncertainty_ms = 8}, good, 1000)) << "the clock was set";
}

TEST(ServerInfoTest, WhetherFieldsMayExpire) {
  const auto field_expiry = [](const char* text) {
    ServerInfo info;
    ParseInfo(text, 0, &info);
    return info.field_expiry;
  };
  EXPECT_FALSE(field_expiry("redis_version:7.2.4\r\n"));
  EXPECT_TRUE(field_expiry("redis_version:7.4.0\r\n"));
  EXPECT_TRUE(field_expiry("redis_version:8.0.1\r\n"));
  EXPECT_FALSE(field_expiry("redis_version:7.2.4\r\nvalkey_version:8.1.0\r\n"));
  EXPECT_TRUE(field_expiry("redis_version:7.2.4\r\nvalkey_version:9.0.0\r\n"));
}

}  // namespace
}  // namespace crossfade

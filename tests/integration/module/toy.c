/* A module with three commands, for modules_test.py. It asks the server for the functions that it needs by their names,
 * as every module does (redismodule.h's RedisModule_Init), so it is built without the server's header. */
#include <stddef.h>

typedef struct Ctx Ctx;
typedef struct String String;
typedef struct CallReply CallReply;

static int (*get_api)(const char *name, void *function);
static void (*set_attributes)(Ctx *ctx, const char *name, int version, int api_version);
static int (*create_command)(Ctx *ctx, const char *name, int (*run)(Ctx *, String **, int), const char *flags,
                             int first_key, int last_key, int key_step);
static CallReply *(*call)(Ctx *ctx, const char *command, const char *format, ...);
static int (*reply_with)(Ctx *ctx, CallReply *reply);
static int (*wrong_arity)(Ctx *ctx);

/* TOY.APPEND key text: as APPEND. */
static int Append(Ctx *ctx, String **argv, int argc) {
  if (argc != 3) return wrong_arity(ctx);
  return reply_with(ctx, call(ctx, "APPEND", "!ss", argv[1], argv[2]));
}

/* TOY.PICK key: adds a member of its own choice, so that two stores choose differently. */
static int Pick(Ctx *ctx, String **argv, int argc) {
  if (argc != 2) return wrong_arity(ctx);
  CallReply *member = call(ctx, "EVAL", "ccs", "return redis.call('TIME')[2]..tostring(redis.call('INCR', 'toy:n'))", "0",
                           argv[1]);
  (void)member;
  return reply_with(ctx, call(ctx, "SPOP", "!s", argv[1]));
}

/* TOY.READ key: as GET. */
static int Read(Ctx *ctx, String **argv, int argc) {
  if (argc != 2) return wrong_arity(ctx);
  return reply_with(ctx, call(ctx, "GET", "s", argv[1]));
}

/* TOY.ADMIN: nothing that an application should reach. */
static int Admin(Ctx *ctx, String **argv, int argc) {
  (void)argv;
  (void)argc;
  return reply_with(ctx, call(ctx, "DBSIZE", ""));
}

int RedisModule_OnLoad(Ctx *ctx, String **argv, int argc) {
  (void)argv;
  (void)argc;
  get_api = (int (*)(const char *, void *))(((void **)ctx)[0]);
  get_api("RedisModule_SetModuleAttribs", (void *)&set_attributes);
  get_api("RedisModule_CreateCommand", (void *)&create_command);
  get_api("RedisModule_Call", (void *)&call);
  get_api("RedisModule_ReplyWithCallReply", (void *)&reply_with);
  get_api("RedisModule_WrongArity", (void *)&wrong_arity);
  set_attributes(ctx, "toy", 1, 1);
  if (create_command(ctx, "toy.append", Append, "write deny-oom", 1, 1, 1) != 0) return 1;
  if (create_command(ctx, "toy.pick", Pick, "write", 1, 1, 1) != 0) return 1;
  if (create_command(ctx, "toy.read", Read, "readonly", 1, 1, 1) != 0) return 1;
  if (create_command(ctx, "toy.admin", Admin, "admin", 0, 0, 0) != 0) return 1;
  return 0;
}

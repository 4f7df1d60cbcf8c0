// Package instance starts private PostgreSQL and RabbitMQ servers on free
// loopback ports, each in a folder of its own: for fault tests, which must
// kill, freeze and restart a server that nobody else uses, for benchmarks, and
// for the set-up command.
//
//	db, err := instance.StartPostgres(ctx, instance.PostgresConfig{Dir: t.TempDir()})
//	…
//	db.URL()        // connect here, as often as you like: it never changes
//	db.Kill()       // SIGKILL to the whole server, nothing is flushed
//	db.Start(ctx)   // the same data on the same port, after crash recovery
//	db.Pause()      // SIGSTOP: connections hang instead of breaking
//	db.Continue()
//	db.Stop(ctx)    // orderly; Start works again afterwards
//
// It knows nothing of chats, schemas or queues: the servers come up empty. It
// runs the machine's installed server programs and never touches the machine's
// own servers: every instance has its own ports, data, password, node name and
// Erlang port mapper.
//
// A server dies with the process that started it, however that process dies,
// unless it was started Detached. PostgreSQL refuses to run as root, so root
// hands the data folder to the account "postgres" and runs the server as that;
// RabbitMQ likewise as "rabbitmq".
package instance

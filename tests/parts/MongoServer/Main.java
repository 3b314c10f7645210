import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;

/** Serves the MongoDB wire protocol from memory on 127.0.0.1: java -cp 'lib/*:.' Main PORT [ADDRESS]. Prints its port (0: a free one). */
public class Main {
    /**
     * One command at a time, answered with a copy. By itself the library compares and changes in two steps, so that two
     * conditional updates of one document both match; MongoDB lets one of them through.
     */
    private static class OneAtATime extends MemoryBackend {
        @Override
        public synchronized Document handleMessage(MongoMessage message) { return super.handleMessage(message).cloneDeeply(); }
    }

    public static void main(String[] arguments) throws Exception {
        MemoryBackend backend = new OneAtATime();
        // PyMongo 4.20 refuses a server below wire version 9; the newest built-in value says 8.
        backend.version(new MongoVersion() {
            public List<Integer> getVersionArray() { return List.of(5, 0, 0); }
            public int getWireVersion() { return 13; }
        });
        MongoServer server = new MongoServer(backend);
        server.bind(arguments.length > 1 ? arguments[1] : "127.0.0.1", Integer.parseInt(arguments[0]));
        System.out.println(server.getLocalAddress().getPort());
        System.out.flush();
        while (System.in.read() >= 0) { }  // ends with whoever started it
        server.shutdownNow();
        System.exit(0);
    }
}

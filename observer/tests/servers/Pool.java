// A server whose requests a fixed pool of two threads reads and answers, behind one that waits for all connections.
//
// `java Pool.java`. `/hold` sleeps for 50 ms, anything else is answered at once. It says where it listens, and ends
// when its standard input is closed.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class Pool {
    public static void main(String[] arguments) throws Exception {
        // Else the end of each answer is held back by Nagle's algorithm.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 128);
        server.setExecutor(Executors.newFixedThreadPool(2));
        server.createContext("/", Pool::answer);
        server.createContext("/hold", exchange -> {
            try {
                Thread.sleep(50);
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
            answer(exchange);
        });
        server.start();
        System.out.println("listening on " + server.getAddress().getAddress().getHostAddress() + ":" + server.getAddress().getPort());
        System.out.flush();
        while (System.in.read() >= 0) {
        }
        System.exit(0);
    }

    static void answer(HttpExchange exchange) throws IOException {
        byte[] answer = "ok\n".getBytes();
        exchange.sendResponseHeaders(200, answer.length);
        exchange.getResponseBody().write(answer);
        exchange.close();
    }
}

<?php

/**
 * Lists every worker that can be found: the demo guide's "Multi-Node Demo".
 *
 * usage: php multi_node_test.php [HOST|MULTIADDR...]; exit code 0, or 1 when there is none.
 */

declare(strict_types=1);

require __DIR__ . '/support.php';

/** More than a person reads. */
const NODES_MAX = 1000;

/**
 * @param list<string> $arguments
 */
function main(array $arguments): int
{
    [$nodes] = parse_command_line($arguments, []);
    echo "Phase Multi-Node Test\n=====================\n\n";
    $found = find_workers($nodes, ['max' => NODES_MAX]);
    if ($found === null) {
        return 1;
    }
    [, $discovery] = $found;
    foreach ($discovery as $node) {
        show_node($node);
    }
    $count = count($discovery);
    echo "\n$count " . ($count === 1 ? 'node' : 'nodes') . " discovered\n\nTest complete!\n";
    return 0;
}

exit(main($argv));

<?php

/**
 * What the examples share: the SDK's classes, the command line, and words for standard error. Standard
 * output is the examples' own and shows nothing but their screens.
 */

declare(strict_types=1);

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Discovery;
use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\PlasmException;
use PhaseBased\Plasm\Node;

if (PHP_VERSION_ID < 80100 || !extension_loaded('sodium')) {
    fwrite(STDERR, 'PHP 8.1 or newer with the extension sodium is needed; this is PHP ' . PHP_VERSION . ".\n");
    exit(1);
}
$sdk = dirname(__DIR__) . '/php-sdk';
require is_file("$sdk/vendor/autoload.php") ? "$sdk/vendor/autoload.php" : "$sdk/autoload.php";

/** Shorter than the five seconds after which a person looks elsewhere. */
const DISCOVERY_TIMEOUT_MS = 4000;

/** A line for the person, beside the screen. */
function note(string $line): void
{
    fwrite(STDERR, "$line\n");
}

/**
 * The command line: known nodes, and which of the flags are there.
 *
 * @param list<string> $arguments as in $argv
 * @param array<string, string> $flags with what they do
 * @return array{0: list<string>, 1: list<string>} nodes, flags
 */
function parse_command_line(array $arguments, array $flags): array
{
    $usage = 'usage: php ' . array_shift($arguments);
    foreach ($flags as $flag => $meaning) {
        $usage .= " [$flag]";
    }
    $usage .= " [HOST|MULTIADDR...]\n"
        . "  HOST|MULTIADDR  nodes to start from; else PLASM_BOOTSTRAP (separated by commas),\n"
        . "                  else the nodes remembered from earlier runs\n";
    foreach ($flags as $flag => $meaning) {
        $usage .= sprintf("  %-14s  %s\n", $flag, $meaning);
    }
    $nodes = [];
    $given = [];
    foreach ($arguments as $argument) {
        if ($argument === '--help' || $argument === '-h') {
            echo $usage;
            exit(0);
        }
        if (isset($flags[$argument])) {
            $given[] = $argument;
        } elseif (str_starts_with($argument, '-')) {
            note("unknown flag $argument\n$usage");
            exit(1);
        } else {
            $nodes[] = $argument;
        }
    }
    return [$nodes, $given];
}

/**
 * Looks for workers. Where there are none, prints the error screen, and what was tried on standard
 * error, and gives null.
 *
 * @param list<string> $nodes to start from
 * @param array<string, mixed> $query
 * @return array{0: Client, 1: Discovery}|null
 */
function find_workers(array $nodes, array $query): ?array
{
    echo "Discovering nodes...\n";
    try {
        $client = new Client($nodes === [] ? [] : ['bootstrap' => $nodes]);
        $discovery = $client->discover($query + ['timeout_ms' => DISCOVERY_TIMEOUT_MS]);
    } catch (DriverException | InvalidRequestException $exception) {
        // Nothing was searched, so it is not the nodes that are missing.
        echo '✗ Discovery failed: ' . strtok($exception->getMessage(), "\n") . "\n";
        note($exception->getMessage());
        return null;
    } catch (PlasmException $exception) {
        note($exception->getMessage());
        $discovery = new Discovery([], [], 0);
    }
    foreach ($discovery->warnings as $warning) {
        note($warning);
    }
    if (count($discovery) === 0) {
        echo "✗ No nodes discovered. Ensure plasmd is running on a remote host.\n";
        explain_no_nodes($discovery);
        return null;
    }
    return [$client, $discovery];
}

function show_node(Node $node): void
{
    echo "✓ Node discovered: {$node->peerId}\n  Architecture: {$node->arch}\n  Runtime: {$node->runtime}\n";
}

/**
 * What was tried, and what to do next.
 */
function explain_no_nodes(Discovery $discovery): void
{
    $script = $_SERVER['argv'][0];
    if ($discovery->tried === []) {
        note("No node to start from is known. Name one: php $script <worker-ip>");
        return;
    }
    note('Tried:');
    foreach ($discovery->tried as ['address' => $address, 'error' => $error]) {
        note("  $address: " . ($error === '' ? 'answered, but is no worker and knows of none' : $error));
    }
    note('Next, on the worker: sudo systemctl status plasmd; sudo ufw status (UDP 4001 has to be allowed)');
    note("Then: php $script <worker-ip>");
}

<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Integration;

use PhaseBased\Plasm\Tests\Support\PlasmNode;
use PhaseBased\Plasm\Tests\Support\WebServer;

/**
 * The network through the plasm command.
 */
final class ProcessTest extends NetworkTestCase
{
    protected static function driver(): string
    {
        return 'process';
    }

    /**
     * PHP's web server may not use FFI; the library is there, and the command is taken by itself.
     */
    public function testPhpsWebServer(): void
    {
        $node = new PlasmNode(self::build());
        $server = new WebServer(__DIR__ . '/../Support/web.php', [
            'PLASM_BOOTSTRAP' => $node->address,
            'PLASM_LIBRARY' => self::build() . '/lib/libplasm.so',
            'PLASM_COMMAND' => self::build() . '/bin/plasm',
        ]);
        $expected = [
            'sapi' => 'cli-server',
            'driver' => 'process',
            'output' => 'dlroW ,olleH',
            'receipt' => 'verified',
        ];
        self::assertSame($expected, json_decode($server->get('/'), true));
    }
}

<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * The node answered no; the message says why.
 */
final class RefusedException extends PlasmException
{
}

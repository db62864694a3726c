<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * The caller's argument is wrong or too large: correct it.
 */
final class InvalidRequestException extends PlasmException
{
}
